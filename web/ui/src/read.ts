// Reading values of unknown shape: what comes over the network is `unknown` until one of these has looked at it.

/** Says what was expected and where. */
export class ShapeError extends Error {
  constructor(where: string, expected: string) {
    super(`${where} is not ${expected}`);
    this.name = 'ShapeError';
  }
}

export type Fields = Readonly<Record<string, unknown>>;

export function asObject(value: unknown, where: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new ShapeError(where, 'an object');
  return value as Fields;
}

export function asArray(value: unknown, where: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new ShapeError(where, 'a list');
  return value;
}

export function asText(value: unknown, where: string): string {
  if (typeof value !== 'string') throw new ShapeError(where, 'a text');
  return value;
}

export function asNumber(value: unknown, where: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new ShapeError(where, 'a number');
  return value;
}
