// Every method. Its line here is all that a new one needs besides its file.

export { dopri5 } from "./dopri5.ts";
export { exponentialEuler } from "./exponentialEuler.ts";
export { bosh3, euler, heun, rk4 } from "./simple.ts";
export { tsit5 } from "./tsit5.ts";
