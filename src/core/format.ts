// Numbers as people read them, in English.

/** 4623254 → "4,623,254". */
export function formatCount(value: number | bigint): string {
  return value.toLocaleString("en");
}

/** Four significant digits, without trailing zeros; "–" for numbers that are not finite. */
export function formatNumber(value: number): string {
  return Number.isFinite(value) ? `${Number(value.toPrecision(4))}` : "–";
}

/** As short as the ticks of an axis need it, in four significant digits at most: 1,000, 0.05, 1.5e−5; "–" unless finite. */
export function formatTick(value: number): string {
  if (value === 0) return "0";
  if (!Number.isFinite(value)) return "–";
  const [size, rounded] = [Math.abs(value), Number(value.toPrecision(4))];
  const isPlain = size >= 1e-3 && size < 1e7;
  const text = isPlain ? rounded.toLocaleString("en", { maximumFractionDigits: 6 }) : rounded.toExponential();
  return text.replace("e+", "e").replaceAll("-", "−");
}

/** 0.974 → "97.4 %". */
export function formatPercent(share: number): string {
  return Number.isFinite(share) ? `${(100 * share).toFixed(1)} %` : "–";
}

/** 2 ** 30 → "1,024 MiB". */
export function formatMebibytes(bytes: number): string {
  return `${formatCount(Math.round(bytes / 2 ** 20))} MiB`;
}

/** In the largest unit that leaves at least 1: 1536 → "1.5 KiB". */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const unit = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${Number((bytes / 1024 ** unit).toPrecision(3))} ${units[unit]}`;
}
