// Where everybody stands in the picture of the swarm: viewers left of and below you, pods to the right. Pure.

export interface Place {
  readonly kind: 'peer' | 'pod';
  readonly x: number;
  readonly y: number;
  /** Width of the line to you, 1 to 6: grows with the bytes that went over it. */
  readonly width: number;
  /** Nothing has gone over it yet. */
  readonly idle: boolean;
  /** It brought or took something, and has left. */
  readonly past: boolean;
}

/** Half the size of the picture: you are in the middle. */
export const CENTRE = { x: 172, y: 95 } as const;
/** More are not drawn; the count says how many there are. */
export const MOST_DRAWN = 12;

interface Carrier {
  readonly kind: 'peer' | 'pod';
  readonly received: number;
  readonly given: number;
  readonly open: boolean;
}

export function places(connections: readonly Carrier[]): Place[] {
  const all = (kind: 'peer' | 'pod') => connections.filter((connection) => connection.kind === kind).sort((a, b) => Number(b.open) - Number(a.open)).slice(0, MOST_DRAWN);
  const most = Math.max(1, ...connections.map((connection) => connection.received + connection.given));
  const around = (list: readonly Carrier[], from: number, to: number): Place[] =>
    list.map((connection, index) => {
      const angle = from + ((to - from) * (index + 0.5)) / list.length;
      const bytes = connection.received + connection.given;
      return {
        kind: connection.kind,
        x: Math.round(CENTRE.x + 128 * Math.cos(angle)),
        y: Math.round(CENTRE.y + 70 * Math.sin(angle)),
        width: Math.round((1.5 + 4.5 * (bytes / most)) * 10) / 10,
        idle: bytes === 0,
        past: !connection.open,
      };
    });
  // Angles grow clockwise from the right.
  return [...around(all('peer'), Math.PI * 0.3, Math.PI * 1.55), ...around(all('pod'), -Math.PI * 0.4, Math.PI * 0.25)];
}
