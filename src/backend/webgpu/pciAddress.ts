// Addresses of PCI devices, as systems, drivers and people write them.

const ADDRESS = /^(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])$/i;

/**
 * "0000:65:00.0", with at least four digits of the domain and in small letters, of an address that may lack the domain (then 0000, as
 * for lspci) or have eight digits there (nvidia-smi). null: this is no address.
 */
export function pciAddressOf(text: string): string | null {
  const [, domain = "0", bus, device, part] = ADDRESS.exec(text) ?? [];
  if (bus === undefined) return null;
  return `${Number.parseInt(domain, 16).toString(16).padStart(4, "0")}:${bus}:${device}.${part}`.toLowerCase();
}

/** By domain, bus, device and function; null comes last. */
export function comparePci(a: string | null, b: string | null): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  return a.length - b.length || (a < b ? -1 : Number(a > b));
}
