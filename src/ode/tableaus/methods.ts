// Every method. Its line here is all that a new one needs besides its file.

export { bosh3 } from "./bosh3.ts";
export { dopri5 } from "./dopri5.ts";
export { euler } from "./euler.ts";
export { exponentialEuler } from "./exponentialEuler.ts";
export { heun } from "./heun.ts";
export { rk4 } from "./rk4.ts";
export { tsit5 } from "./tsit5.ts";
