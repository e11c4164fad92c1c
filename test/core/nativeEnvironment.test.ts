import koffi from "koffi";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { setVariable } from "../../src/core/nativeEnvironment.ts";
import { testOrSkip } from "../support/skip.ts";

const test = suite("native environment");
const NAME = "AXOGRAD_TEST_VARIABLE";

testOrSkip(
  test,
  process.platform === "linux",
  "glibc",
  "a variable is set and removed for native libraries, too",
  () => {
    const getenv = koffi.load("libc.so.6").func("const char *getenv(const char *name)");
    const seen = (): unknown[] => [process.env[NAME], getenv(NAME) ?? undefined];
    setVariable(NAME, "given");
    assert.equal(seen(), ["given", "given"]);
    setVariable(NAME, "");
    assert.equal(seen(), ["", ""]);
    setVariable(NAME, undefined);
    assert.equal(seen(), [undefined, undefined]);
  },
);

test.run();
