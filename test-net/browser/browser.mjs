// A real Chromium that tells whom it spoke to.

import { chromium } from 'playwright-core';

export const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';

const QUIET = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // Videos start without a click, and two browsers on one machine may find each other.
  '--autoplay-policy=no-user-gesture-required',
  '--allow-loopback-in-peer-connection',
];

/** Addresses of this machine's own network are told to other browsers as they are, not as names of mDNS. */
const PLAIN_ADDRESSES = '--disable-features=WebRtcHideLocalIpsWithMdns';

/** One browser process of its own: nothing is shared with another but the network. */
export async function openBrowser({ executable = EXECUTABLE, flags = [PLAIN_ADDRESSES] } = {}) {
  return chromium.launch({ executablePath: executable, args: [...QUIET, ...flags], headless: true });
}

/** A page, and a record of everything it asked for and complained about. */
export async function openPage(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  // Every RTCPeerConnection tells which servers it was given: those never show up among requests.
  await context.addInitScript(() => {
    globalThis.iceServers = [];
    globalThis.peerConnections = 0;
    const Real = globalThis.RTCPeerConnection;
    if (!Real) return;
    globalThis.RTCPeerConnection = class extends Real {
      constructor(configuration, ...rest) {
        super(configuration, ...rest);
        globalThis.peerConnections += 1;
        globalThis.iceServers.push(...(configuration?.iceServers ?? ['the default']));
      }
    };
  });
  const hosts = new Set();
  const complaints = [];
  const sockets = [];
  const note = (url) => {
    const { protocol, host } = new URL(url);
    if (!['blob:', 'data:'].includes(protocol)) hosts.add(host);
  };
  context.on('request', (request) => note(request.url()));
  const page = await context.newPage();
  page.on('websocket', (socket) => {
    sockets.push(socket.url());
    note(socket.url());
  });
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`${message.text()} (${message.location().url})`);
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  return { context, page, hosts, complaints, sockets };
}

/** Lets the page's HTTP bring no more than so many bytes a second, as a thin line would. WebRTC is not slowed. Answers how to end it. */
export async function slowDown({ context, page }, bytes) {
  const session = await context.newCDPSession(page);
  await session.send('Network.enable');
  await session.send('Network.emulateNetworkConditions', { offline: false, latency: 5, downloadThroughput: bytes, uploadThroughput: -1 });
  return () => session.detach();
}

/** What the page's player says and shows. */
export async function playing(page) {
  return page.evaluate(() => {
    const video = document.querySelector('video');
    const player = document.querySelector('pod-player');
    return {
      time: video?.currentTime ?? 0,
      frames: video?.getVideoPlaybackQuality?.().totalVideoFrames ?? 0,
      paused: video?.paused ?? true,
      ended: video?.ended ?? false,
      error: video?.error?.message ?? null,
      src: video?.currentSrc ?? null,
      stats: player?.stats ?? null,
      iceServers: globalThis.iceServers,
    };
  });
}
