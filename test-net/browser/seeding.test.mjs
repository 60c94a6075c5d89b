// The pod as a peer of browsers: a page that knows the magnet and its tracker alone, no web seed and no torrent file, plays from the pod.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';

import { openBrowser, openPage } from './browser.mjs';
import { Clips, eventually, startNet } from './net.mjs';

let net;
let clips;
let browser;
let file;
let video;

before(async () => {
  clips = new Clips();
  [net, browser] = await Promise.all([startNet(1, { friends: false }), openBrowser()]);
  file = clips.weighty();
  const { uuid } = await net.pod(1).upload(file, 'Seeded by the pod');
  video = await net.pod(1).json(`/api/v1/videos/${uuid}`);
});

after(async () => {
  await browser?.close();
  await net?.stop();
  clips?.remove();
});

/** The magnet with nothing in it but the torrent's name and its trackers for browsers. */
function bare(magnet) {
  const parts = magnet.slice(magnet.indexOf('?') + 1).split('&');
  const kept = parts.filter((part) => /^(xt|dn)=/.test(part) || /^tr=wss?%3A/i.test(part));
  assert.ok(kept.some((part) => part.startsWith('tr=')), magnet);
  return `magnet:?${kept.join('&')}`;
}

/** Runs in the page: joins the swarm, shows the first frame, downloads everything. */
async function watch(magnet) {
  const { default: WebTorrent } = await import('/vendor/webtorrent/webtorrent.min.js');
  const controller = await navigator.serviceWorker.register('/sw.min.js', { scope: '/' });
  await navigator.serviceWorker.ready;
  const client = new WebTorrent({ dht: false, webSeeds: false, utPex: false, tracker: { rtcConfig: { iceServers: [] } } });
  client.createServer({ controller });
  const begun = performance.now();
  const since = () => Math.round(performance.now() - begun);
  const failed = new Promise((_, reject) => client.on('error', reject));
  const torrent = client.add(magnet);
  const kinds = [];
  torrent.on('wire', (wire) => kinds.push(`${wire.type} ${wire.peerId.slice(0, 6)}`));
  await Promise.race([failed, new Promise((resolve) => torrent.once('metadata', resolve))]);
  const metadata = since();
  const player = Object.assign(document.createElement('video'), { muted: true, autoplay: true });
  document.body.append(player);
  const frame = new Promise((resolve) => player.requestVideoFrameCallback(() => resolve(since())));
  torrent.files[0].streamTo(player);
  const firstFrame = await Promise.race([failed, frame]);
  await Promise.race([failed, torrent.done || new Promise((resolve) => torrent.once('done', resolve))]);
  const done = since();
  const bytes = await (await torrent.files[0].blob()).arrayBuffer();
  const digest = [...new Uint8Array(await crypto.subtle.digest('SHA-1', bytes))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return { metadata, firstFrame, done, length: bytes.byteLength, digest, kinds };
}

test('a browser that has the magnet and nothing else plays from the pod, byte for byte', async (t) => {
  const { page, context } = await openPage(browser);
  await page.goto(`${net.pod(1).url}/about`);
  const seen = await page.evaluate(watch, bare(video.files[0].magnetUri));
  const original = readFileSync(file);
  assert.equal(seen.length, original.length);
  assert.equal(seen.digest, createHash('sha1').update(original).digest('hex'));
  assert.ok(seen.kinds.every((kind) => /^webrtc(Outgoing)? 2d5350/.test(kind)), `from the pod alone: ${seen.kinds}`);
  t.diagnostic(`WebRTC from the pod alone: metadata after ${seen.metadata} ms, first frame after ${seen.firstFrame} ms, ${(seen.length / 1e6).toFixed(1)} MB after ${seen.done} ms`);
  await eventually('the pod has counted it', async () => {
    const metrics = await (await fetch(`${net.pod(1).url}/metrics`)).text();
    const sent = Number(/^seedpod_seeder_served_bytes_total\{source="webrtc"\} (\d+)$/m.exec(metrics)?.[1]);
    return sent >= original.length;
  });
  await context.close();
});
