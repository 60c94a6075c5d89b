// <swarm-panel>: who carries the video, and the switch. Redrawn once a second from the player's `stats`; widths and heights do not change
// when numbers do. Drawn without a shadow root, so that the pod's own style sheet applies.

import { LitElement, html, svg } from 'lit';

import { bytes, percent, rate } from './format.ts';
import type { PlayerStats, PodPlayer } from './pod-player.ts';
import { CENTRE, type Place, places } from './swarm-picture.ts';

export class SwarmPanel extends LitElement {
  static override properties = { stats: { attribute: false } };

  declare stats: PlayerStats | undefined;
  #player: PodPlayer | null = null;
  #onStats = (event: Event) => {
    this.stats = (event as CustomEvent<PlayerStats>).detail;
  };

  override createRenderRoot(): HTMLElement {
    // What the server wrote for pages without scripts makes room.
    this.replaceChildren();
    return this;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#player = document.querySelector('pod-player');
    this.#player?.addEventListener('stats', this.#onStats);
    this.stats = this.#player?.stats;
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#player?.removeEventListener('stats', this.#onStats);
  }

  override render(): unknown {
    const { stats } = this;
    const data = this.#player?.data;
    if (!stats || !data) return html`<p>This page has no video to share.</p>`;
    const total = stats.fromPeers + stats.fromPods;
    return html`
      <p class="swarm-share"><strong>${total > 0 ? percent(stats.fromPeers, total) : '–'}</strong> <span>from other viewers</span></p>
      ${this.#bar(stats.fromPeers, total)}
      <ul class="swarm-legend">
        <li>${viewers(Math.max(stats.peers, stats.helpers))} ${bytes(stats.fromPeers)}</li>
        <li class="pod-part">pods ${bytes(stats.fromPods)}</li>
      </ul>
      ${this.#picture(stats, data.originHost)}
      <div class="swarm-rates">
        <span><strong>↓ ${rate(stats.rates.down)}</strong> <small>↑ ${rate(stats.rates.up)}</small></span>
        <small>${stats.swarmSize} watching, incl. you</small>
      </div>
      <label class="switch">
        <input type="checkbox" role="switch" .checked=${stats.sharing} @change=${this.#toggle}>
        <strong>Share with other viewers</strong>
        <small>They can see your IP address while you watch and browse on here. Off: the video comes from ${data.originHost} alone.</small>
      </label>
      <p class="swarm-state" role="status">${stateText(stats)}</p>
    `;
  }

  #toggle = (event: Event): void => {
    if (this.#player) this.#player.sharing = (event.target as HTMLInputElement).checked;
  };

  // Widths as attributes of SVG: an attribute `style` would break the page's content security policy.
  #bar(fromPeers: number, total: number): unknown {
    const share = total > 0 ? (fromPeers / total) * 100 : 0;
    const gap = share > 0 && share < 100 ? 0.6 : 0;
    return html`<svg class="swarm-bar" preserveAspectRatio="none" viewBox="0 0 100 12" aria-hidden="true">
      ${total > 0 ? svg`<rect class="peer" width=${Math.max(0, share - gap)} height="12"/><rect class="pod-part" x=${share} width=${100 - share} height="12"/>` : ''}
    </svg>`;
  }

  #picture(stats: PlayerStats, origin: string): unknown {
    // What came over plain HTTP is a line to the origin as well.
    const overHttp = !stats.connections.some(({ kind }) => kind === 'pod') && (stats.source === 'http' || stats.fromPods > 0 || stats.connections.length === 0);
    const spots = places(overHttp ? [...stats.connections, { kind: 'pod', received: stats.fromPods, given: 0, open: true }] : stats.connections);
    const firstPod = spots.find((spot) => spot.kind === 'pod');
    return html`<svg class="swarm-net" viewBox="0 0 344 190" role="img" aria-label="You, ${viewers(stats.peers)} and ${stats.pods} pods">
      ${spots.map((spot) => svg`<line class=${lineClass(spot)} x1=${CENTRE.x} y1=${CENTRE.y} x2=${spot.x} y2=${spot.y} stroke-width=${spot.width}/>`)}
      ${spots.map((spot) => (spot.kind === 'peer' ? svg`<circle class=${spot.past ? 'peer past' : 'peer'} cx=${spot.x} cy=${spot.y} r="11"/>` : svg`<rect class="pod-part" x=${spot.x - 12} y=${spot.y - 12} width="24" height="24" rx="6"/>`))}
      ${firstPod ? svg`<text x=${Math.min(firstPod.x, 284)} y=${firstPod.y < CENTRE.y ? firstPod.y - 19 : firstPod.y + 29}>${origin}</text>` : ''}
      <circle class="you" cx=${CENTRE.x} cy=${CENTRE.y} r="19"/><text class="you" x=${CENTRE.x} y=${CENTRE.y + 4}>you</text>
    </svg>`;
  }
}

function viewers(count: number): string {
  return count === 1 ? '1 viewer' : `${count} viewers`;
}

function lineClass(spot: Place): string {
  if (spot.idle) return 'idle';
  return `${spot.kind === 'peer' ? 'peer' : 'pod-part'}${spot.past ? ' past' : ''}`;
}

function stateText(stats: PlayerStats): string {
  if (stats.note) return stats.note;
  if (!stats.sharing) return 'Sharing is off: plain HTTP, no connection to other viewers.';
  if (stats.source === 'swarm') return stats.progress >= 1 ? 'You hold the whole file and give it on while you browse here.' : 'In the swarm: pieces come from whoever has them.';
  return stats.connections.length > 0 ? 'Playing over HTTP; moves into the swarm at the next pause or seek.' : 'Joining the swarm.';
}

customElements.define('swarm-panel', SwarmPanel);
