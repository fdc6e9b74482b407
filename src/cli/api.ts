/** The part of the library that the command line uses: index.ts, and nothing below it. */
export type Api = Pick<
  typeof import("../index.ts"),
  "SmolVM" | "doctor" | "buildImage" | "listImages" | "inspectImage" | "deleteImage"
>;
