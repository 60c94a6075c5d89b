// Numbers and times as people read them: the same texts as `web/src/pages/format.rs` writes (both are tested against
// `fixtures/format.json`), so that a number keeps its looks when a script takes over.

const UNITS = ['kB', 'MB', 'GB', 'TB', 'PB'] as const;

/** Bytes in steps of 1000, with one decimal below ten: `0 B`, `1.8 kB`, `84 MB`. */
export function bytes(count: number): string {
  const whole = Math.max(0, Math.round(count));
  if (whole < 1000) return `${whole} B`;
  let scale = 1000;
  let unit = 0;
  while (whole >= scale * 1000 - scale / 2 && unit + 1 < UNITS.length) {
    scale *= 1000;
    unit += 1;
  }
  const tenths = Math.round((whole * 10) / scale);
  if (tenths >= 100) return `${Math.round(whole / scale)} ${UNITS[unit]}`;
  return tenths % 10 === 0 ? `${tenths / 10} ${UNITS[unit]}` : `${(tenths / 10).toFixed(1)} ${UNITS[unit]}`;
}

/** Bytes a second: `3.1 MB/s`. */
export function rate(bytesPerSecond: number): string {
  return `${bytes(bytesPerSecond)}/s`;
}

/** A share of a whole as a percentage without decimals; `0%` of nothing. Never 100% while anything came from elsewhere. */
export function percent(part: number, whole: number): string {
  if (whole <= 0 || part <= 0) return '0%';
  if (part >= whole) return '100%';
  return `${Math.min(99, Math.max(1, Math.round((part * 100) / whole)))}%`;
}

/** Seconds as a player shows them: `0:07`, `12:48`, `1:02:03`. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number: number) => String(number).padStart(2, '0');
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** What is left of a transfer, in words: `29 seconds left`, `4 minutes left`; empty while the rate is not known. */
export function timeLeft(seconds: number): string {
  if (!Number.isFinite(seconds)) return '';
  if (seconds < 1.5) return '1 second left';
  if (seconds < 90) return `${Math.round(seconds)} seconds left`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} minutes left`;
  return `${Math.round(seconds / 3600)} hours left`;
}

/** How long ago `then` was at `now`, both in milliseconds: `now`, `3 minutes ago`, `yesterday`, `2 weeks ago`. */
export function relative(then: number, now: number): string {
  const seconds = Math.floor(Math.max(0, now - then) / 1000);
  const ago = (size: number, unit: string) => {
    const number = Math.max(1, Math.floor(seconds / size));
    return `${number} ${unit}${number === 1 ? '' : 's'} ago`;
  };
  if (seconds < 45) return 'now';
  if (seconds < 3_600) return ago(60, 'minute');
  if (seconds < 86_400) return ago(3_600, 'hour');
  if (seconds < 172_800) return 'yesterday';
  if (seconds < 604_800) return ago(86_400, 'day');
  if (seconds < 2_592_000) return ago(604_800, 'week');
  if (seconds < 31_536_000) return ago(2_592_000, 'month');
  return ago(31_536_000, 'year');
}
