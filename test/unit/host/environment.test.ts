import { describe, expect, it } from "vitest";
import { backgroundVariables, neededVariables } from "../../../src/host/environment.ts";

const BASE = { PATH: "/bin", HOME: "/home/me", SECRET_KEY: "s", QEMU_MODULE_DIR: "/q", SMOLVM_DEBUG: "1" };
const NETWORK = {
  ...{ NODE_EXTRA_CA_CERTS: "/ca.pem", SSL_CERT_FILE: "/c", SSL_CERT_DIR: "/d", NODE_USE_ENV_PROXY: "1" },
  ...{ HTTP_PROXY: "p", HTTPS_PROXY: "p", ALL_PROXY: "p", NO_PROXY: "n" },
  ...{ http_proxy: "p", https_proxy: "p", all_proxy: "p", no_proxy: "n" },
};

describe("the environment of what runs in the background", () => {
  it("of a program of ours that may download has the way to the internet, and no secrets", () => {
    const { SECRET_KEY: _, ...kept } = { ...BASE, ...NETWORK };
    expect(backgroundVariables({ ...BASE, ...NETWORK }, "SMOLVM_")).toEqual(kept);
  });

  it("of QEMU has neither: a proxy's address may hold a password", () => {
    expect(Object.keys(neededVariables({ ...BASE, ...NETWORK })).sort()).toEqual([
      "HOME",
      "PATH",
      "QEMU_MODULE_DIR",
    ]);
  });
});
