// Two viewers on two pods, of a video of a third that is gone: the trackers of their pods bring them together.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { openBrowser, openPage, playing } from './browser.mjs';
import { Clips, eventually, startNet } from './net.mjs';

let net;
let clips;
let browsers;

before(async () => {
  clips = new Clips();
  net = await startNet(3);
  browsers = await Promise.all([openBrowser(), openBrowser()]);
});

after(async () => {
  await Promise.all((browsers ?? []).map((browser) => browser.close()));
  await net?.stop();
  clips?.remove();
});

const start = (page) => page.evaluate(() => void document.querySelector('video').play().catch(() => {}));

/** A figure of a pod's metrics, summed over its labels. */
async function figure(pod, name) {
  const metrics = await (await fetch(`${pod.url}/metrics`)).text();
  const lines = metrics.split('\n').filter((line) => line.startsWith(name));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}

async function watch(browser, pod, video) {
  await eventually(`pod ${pod.number} knows the video`, () => pod.json(`/api/v1/videos/${video.uuid}`));
  const opened = await openPage(browser);
  await opened.page.goto(`${pod.url}/w/${video.shortUUID}`);
  return opened;
}

test('viewers of pods 1 and 2 share a video of pod 3, which is switched off', async () => {
  const [one, two, three] = net.pods;
  const video = await three.upload(clips.mp4(12), 'Shared across pods');
  const first = await watch(browsers[0], one, video);
  await start(first.page);
  await eventually('the first viewer has everything', async () => (await playing(first.page)).stats?.progress === 1);
  // Both pods have what the page needs but the pieces: its torrent.
  await eventually('pod 2 has the torrent', async () => {
    const { files } = await two.json(`/api/v1/videos/${video.uuid}`);
    return (await fetch(files[0].torrentUrl.replace(three.url, two.url))).ok;
  });

  three.kill();
  await eventually('pod 2 has heard of the viewer at pod 1', () => figure(two, 'seedpod_tracker_relay_hinted_torrents'));
  const second = await watch(browsers[1], two, video);
  await start(second.page);
  const finished = await eventually('the second viewer plays to the end', async () => {
    const shown = await playing(second.page);
    // Chromium takes no play for an answer while the origin's address has just failed; a person presses it again.
    if (shown.paused && !shown.ended) await start(second.page);
    if (!shown.ended) throw new Error(JSON.stringify(shown));
    return shown;
  }, 60_000);
  assert.ok(finished.stats.fromPeers > 0, `bytes from the other viewer: ${JSON.stringify(finished.stats)}`);
  assert.equal(finished.stats.fromPods, 0, 'no pod had them');
  const giving = await playing(first.page);
  assert.ok(giving.stats.uploaded > 0, `the first viewer gave: ${JSON.stringify(giving.stats)}`);
  assert.ok((await figure(one, 'seedpod_tracker_relay_relayed_total{what="offer"')) > 0, 'pod 1 relayed offers');
  assert.ok((await figure(two, 'seedpod_tracker_relay_relayed_total{what="answer"')) > 0, 'pod 2 relayed answers');

  // The viewers' pages spoke to pods alone, and WebRTC to each other alone.
  const pods = new Set(net.pods.map((pod) => new URL(pod.url).host));
  for (const { hosts, page } of [first, second]) {
    assert.deepEqual([...hosts].filter((host) => !pods.has(host)), [], 'hosts that are no pods');
    const given = (await playing(page)).iceServers.map(({ urls }) => urls);
    const servers = net.pods.map((pod) => `stun:${new URL(pod.url).host}`);
    assert.deepEqual(given.filter((server) => !servers.includes(server)), [], 'servers given to WebRTC');
  }
});
