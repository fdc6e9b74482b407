import * as v from "valibot";
import { copyStringMap, isStringMap, type StringMap } from "../util/string-map.ts";

/** `v.record` leaves out "__proto__", "constructor" and "prototype", which are names like any other. */
export const StringMapSchema = v.pipe(
  v.custom<StringMap>(isStringMap, "Invalid type: Expected names and strings"),
  v.transform(copyStringMap),
);
