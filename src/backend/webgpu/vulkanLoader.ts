// Whether the system has a Vulkan loader, asked of the dynamic linker as Dawn does: by name, in whatever folders it searches.

const LOADER = "libvulkan.so.1";
/** A library that no system has. */
const MISSING = "libaxograd-no-such-library.so.1";

/** Whether the system's Vulkan loader can be opened; null where Dawn does not use Vulkan. */
export function hasVulkanLoader(): boolean | null {
  return process.platform === "linux" ? canOpen(LOADER) : null;
}

/**
 * Whether the dynamic linker finds a library.
 *
 * `process.dlopen` opens a library and then rejects it, as it is no add-on. Each runtime words that in its own way, but none as it reports a
 * library that is missing. Deno's `process.dlopen` accepts paths only; its own `dlopen` takes a name.
 */
export function canOpen(library: string): boolean {
  const { Deno } = globalThis as { readonly Deno?: { dlopen(name: string, symbols: object): { close(): void } } };
  if (!Deno) return refusalOf(library) !== refusalOf(MISSING);
  try {
    Deno.dlopen(library, {}).close();
    return true;
  } catch {
    return false;
  }
}

/** The error for a library without its name; empty: none. */
function refusalOf(library: string): string {
  try {
    process.dlopen({ exports: {} }, library);
    return "";
  } catch (error) {
    return String(error).replaceAll(library, "");
  }
}
