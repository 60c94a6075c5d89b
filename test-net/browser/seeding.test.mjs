// The pod as a peer of browsers: a page that knows the magnet and its tracker alone, no web seed and no torrent file, plays from the pod;
// whether the browser shows its addresses or hides them; and beside others who offer it rubbish.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { after, before, test } from 'node:test';

import { openBrowser, openPage } from './browser.mjs';
import { Clips, eventually, startNet } from './net.mjs';

let net;
let clips;
let browser;
let original;
let video;

before(async () => {
  clips = new Clips();
  [net, browser] = await Promise.all([startNet(1, { friends: false }), openBrowser()]);
  const file = clips.weighty();
  original = readFileSync(file);
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
  const offers = [];
  const describe = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function (...given) {
    offers.push(this.localDescription?.sdp ?? '');
    return describe.apply(this, given);
  };
  const client = new WebTorrent({ dht: false, webSeeds: false, utPex: false, tracker: { rtcConfig: { iceServers: [] } } });
  client.createServer({ controller });
  const begun = performance.now();
  const since = () => Math.round(performance.now() - begun);
  const failed = new Promise((_, reject) => client.on('error', reject));
  const torrent = client.add(magnet);
  const kinds = [];
  let connected;
  torrent.on('wire', (wire) => {
    connected ??= since();
    kinds.push(`${wire.type} ${wire.peerId.slice(0, 6)}`);
  });
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
  const time = await new Promise((resolve) => {
    const look = () => (player.currentTime > 1 ? resolve(player.currentTime) : requestAnimationFrame(look));
    look();
  });
  const frames = player.getVideoPlaybackQuality().totalVideoFrames;
  client.destroy();
  return { connected, metadata, firstFrame, done, length: bytes.byteLength, digest, kinds, time, frames, offers };
}

/** A figure of the pod's metrics, summed over its labels; `name` may name some of them. */
async function figure(name) {
  const metrics = await (await fetch(`${net.pod(1).url}/metrics`)).text();
  const lines = metrics.split('\n').filter((line) => line.startsWith(name));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}

const SENT = 'seedpod_seeder_served_bytes_total{source="webrtc"}';

/** Plays from the pod alone, and says how that went. */
async function playFromThePod(t, from) {
  const sent = await figure(SENT);
  const { page, context } = await openPage(from);
  await page.goto(`${net.pod(1).url}/about`);
  const seen = await page.evaluate(watch, bare(video.files[0].magnetUri));
  await context.close();
  assert.equal(seen.length, original.length);
  assert.equal(seen.digest, createHash('sha1').update(original).digest('hex'));
  assert.ok(seen.kinds.length > 0 && seen.kinds.every((kind) => /^webrtc(Outgoing)? 2d5350/.test(kind)), `from the pod alone: ${seen.kinds}`);
  assert.ok(seen.frames > 10, `${seen.frames} frames in ${seen.time} s`);
  assert.ok(seen.firstFrame < 10_000, `the first frame after ${seen.firstFrame} ms`);
  t.diagnostic(`connected after ${seen.connected} ms, metadata ${seen.metadata} ms, first frame ${seen.firstFrame} ms, ${(seen.length / 1e6).toFixed(1)} MB ${seen.done} ms`);
  await eventually('the pod has counted it', async () => (await figure(SENT)) - sent >= original.length);
  return seen;
}

test('a browser that has the magnet and nothing else plays from the pod, byte for byte', async (t) => {
  await playFromThePod(t, browser);
  const answers = await figure('seedpod_seeder_answer_seconds_count');
  t.diagnostic(`offer to answer: ${((await figure('seedpod_seeder_answer_seconds_sum')) / answers * 1e3).toFixed(1)} ms on average of ${answers}`);
});

test('so does a browser that hides its addresses', async (t) => {
  const hiding = await openBrowser({ flags: [] });
  try {
    const { offers } = await playFromThePod(t, hiding);
    const candidates = offers.flatMap((sdp) => sdp.split('\r\n').filter((line) => line.startsWith('a=candidate:')));
    assert.ok(candidates.length > 0 && candidates.every((line) => / [0-9a-f-]+\.local /.test(line)), candidates.join('\n'));
  } finally {
    await hiding.close();
  }
});

/** A tracker socket from another address of this machine, which says what it is told and hears nothing. */
function shouter(address) {
  const { hostname, port } = new URL(net.pod(1).url);
  const headers = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': 13, 'sec-websocket-key': randomBytes(16).toString('base64') };
  return new Promise((resolve, reject) => {
    const asked = request({ hostname, port, path: '/tracker/socket', headers, localAddress: address });
    asked.once('error', reject);
    asked.once('upgrade', (_, socket) => {
      socket.on('error', () => undefined).resume();
      resolve({
        say: (message) => {
          const text = Buffer.from(JSON.stringify(message));
          const head = Buffer.from([0x81, 0xfe, text.length >> 8, text.length & 0xff, 0, 0, 0, 0]);
          socket.write(Buffer.concat([head, text]));
        },
        end: () => socket.destroy(),
      });
    });
    asked.end();
  });
}

test('hundreds of offers that lead nowhere keep nobody from playing', async (t) => {
  const hash = /btih:([0-9a-f]{40})/i.exec(video.files[0].magnetUri)[1];
  const info_hash = Buffer.from(hash, 'hex').toString('latin1');
  const { page, context } = await openPage(browser);
  await page.goto(`${net.pod(1).url}/about`);
  const real = await page.evaluate(async () => {
    const connection = new RTCPeerConnection();
    connection.createDataChannel('x');
    await connection.setLocalDescription(await connection.createOffer());
    return connection.localDescription.sdp;
  });
  await context.close();
  const rubbish = [real, 'rubbish', real.slice(0, 300), real.replace(/a=fingerprint.*\r\n/, ''), `${real}${'a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n'.repeat(100)}`];
  const refused = await figure('seedpod_seeder_peers_refused_total{source="webrtc"');
  const sockets = await Promise.all(Array.from({ length: 10 }, () => shouter('127.0.0.2')));
  for (let number = 0; number < 300; number += 1) {
    const peer_id = `-XX0000-${String(number).padStart(12, '0')}`;
    const offers = [{ offer_id: peer_id, offer: { type: 'offer', sdp: rubbish[number % rubbish.length] } }];
    sockets[number % sockets.length].say({ action: 'announce', info_hash, peer_id, event: 'started', left: 1, numwant: 1, offers });
  }
  await eventually('most are refused', async () => (await figure('seedpod_seeder_peers_refused_total{source="webrtc"')) - refused > 200);
  await playFromThePod(t, browser);
  for (const socket of sockets) socket.end();
  assert.equal(await figure('seedpod_panics_total'), 0);
  assert.ok((await fetch(`${net.pod(1).url}/healthz`)).ok);
});
