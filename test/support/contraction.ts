// Contraction: WGSL lets a compiler compute a·b + c with one rounding. GPUs' compilers do, software adapters do not. Here printed sums with
// a product are found, and shaders are rewritten so that software adapters contract them, too.

/** Environment variable: "1" makes the devices of test adapters contract. */
export const CONTRACTION_VARIABLE = "AXOGRAD_TEST_CONTRACTION";

/** Expressions that may end in a product: a division is one with a reciprocal, and so do functions made of polynomials. */
const MAY_END_IN_PRODUCT =
  /^(?:v\d+ [*/] v\d+|(?:exp|log|log1p|expm1|sin|cos|sqrt|sigmoid|tanh|softplus|erf|pow)Of\(.*\))$/;
const DEFINITION = /^\s*let (v\d+) = (.*);$/;
/** Where a reduction or a hook takes a value to be added up. */
const REDUCED = /^\s*(?:rows|lanes)Value\d+ = (v\d+);$/;

/** The lines where a compiler may contract or not: an addend is a product that is not rounded, or the negative of one. */
export function openSums(wgsl: string): string[] {
  const found: string[] = [];
  let open = new Set<string>();
  for (const line of wgsl.split("\n")) {
    // Values are numbered by function.
    if (line.startsWith("fn ")) open = new Set();
    const [, name, value] = DEFINITION.exec(line) ?? [];
    if (value !== undefined && (MAY_END_IN_PRODUCT.test(value) || open.has(/^-(v\d+)$/.exec(value)?.[1] ?? "")))
      open.add(name!);
    if (addendsIn(line, value ?? line).some((addend) => open.has(addend))) found.push(line.trim());
  }
  return found;
}

function addendsIn(line: string, expression: string): readonly string[] {
  const reduced = REDUCED.exec(line);
  if (reduced) return [reduced[1]!];
  if (!/[\w)] [+-] /.test(expression)) return [];
  return [...expression.matchAll(/(?:^|[+-] )(v\d+)\b(?=$| [+-]|\.x|\))/g)].map(([, addend]) => addend!);
}

/**
 * WGSL as a contracting compiler takes it: each fma is rounded once, and so is each printed sum of values one of which is a product
 * (the left one where both are) that is not rounded.
 */
export function contracted(wgsl: string): string {
  if (wgsl.includes(FUSED_ONCE)) return wgsl;
  let products = new Map<string, string>();
  const lines = wgsl.split("\n").map((line) => {
    if (line.startsWith("fn ")) products = new Map();
    const [, name, value = ""] = DEFINITION.exec(line) ?? [];
    const product = /^(v\d+) \* (v\d+)$/.exec(value);
    if (product) products.set(name!, `${product[1]}, ${product[2]}`);
    const [, a = "", sign, b = ""] = /^(v\d+) ([+-]) (v\d+)$/.exec(value) ?? [];
    const minus = sign === "-" ? "-" : "";
    if (products.has(a)) return `let ${name} = fusedOnce(${products.get(a)}, ${minus}${b});`;
    return products.has(b) ? `let ${name} = fusedOnce(${minus}${products.get(b)}, ${a});` : line;
  });
  const rewritten = lines.join("\n").replace(/\bfma\(/g, "fusedOnce(");
  return rewritten.includes("fusedOnce(") ? `${rewritten}\n${FUSED_ONCE}` : rewritten;
}

/** WGSL in which no product is rounded before something is added to it. */
export function unrounded(wgsl: string): string {
  return wgsl.replace(/= rounded\((.*)\);$/gm, "= $1;");
}

/**
 * a·b + c by error-free transformations: a·b = p + e exactly (halves of 12 bits have exact products), p + c = s + t exactly (two-sum), and
 * s + (t + e). That is the sum rounded once, but for the rounding of t + e, which matters about once in 2²⁴ times. Where s is not finite,
 * and for the bits below the smallest f32, it is a·b + c in two roundings.
 */
const FUSED_ONCE = `
fn highHalf(x: vec4<f32>) -> vec4<f32> { return bitcast<vec4<f32>>(bitcast<vec4<u32>>(x) & vec4<u32>(0xfffff000u)); }
fn fusedOnce(a: vec4<f32>, b: vec4<f32>, c: vec4<f32>) -> vec4<f32> {
  let aHigh = highHalf(a);
  let bHigh = highHalf(b);
  let aLow = a - aHigh;
  let bLow = b - bHigh;
  let p = a * b;
  let e = ((aHigh * bHigh - p) + aHigh * bLow + aLow * bHigh) + aLow * bLow;
  let s = p + c;
  let ofC = s - p;
  let t = (p - (s - ofC)) + (c - ofC);
  let isFinite = (bitcast<vec4<u32>>(s) & vec4<u32>(0x7f800000u)) < vec4<u32>(0x7f800000u);
  return select(s, s + (t + e), isFinite);
}
`;

/** Runs `work` while all devices get their shaders rewritten. Dawn must have been loaded. */
export async function withShaders<T>(rewrite: (wgsl: string) => string, work: () => Promise<T>): Promise<T> {
  const restore = rewriteShaders(rewrite);
  try {
    return await work();
  } finally {
    restore();
  }
}

/** All devices get their shaders rewritten until the result is called. Dawn must have been loaded. */
export function rewriteShaders(rewrite: (wgsl: string) => string): () => void {
  const { prototype } = globalThis.GPUDevice;
  const make = prototype.createShaderModule;
  prototype.createShaderModule = function (this: GPUDevice, descriptor) {
    return make.call(this, { ...descriptor, code: rewrite(descriptor.code) });
  };
  return () => {
    prototype.createShaderModule = make;
  };
}
