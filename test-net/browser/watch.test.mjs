// The path of a video: uploaded on one pod, watched on another, carried by whoever has it.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { openBrowser, openPage, playing } from './browser.mjs';
import { Clips, eventually, startNet } from './net.mjs';

let net;
let clips;
let browser;

before(async () => {
  clips = new Clips();
  [net, browser] = await Promise.all([startNet(3), openBrowser()]);
});

after(async () => {
  await browser?.close();
  await net?.stop();
  clips?.remove();
});

/** Opens a video's page on a pod that is not its origin, once the pod has heard of it. */
async function watch(pod, video, from = browser) {
  await eventually(`pod ${pod.number} knows the video`, () => pod.json(`/api/v1/videos/${video.uuid}`));
  const opened = await openPage(from);
  await opened.page.goto(`${pod.url}/w/${video.shortUUID}`);
  return opened;
}

// A change of source within moments of pressing play rejects the promise; the player goes on by itself.
const start = (page) => page.evaluate(() => void document.querySelector('video').play().catch(() => {}));

/** Everything the page spoke to is a pod, and WebRTC was given the STUN servers of these two pods and no other. */
async function assertPodsOnly({ page, hosts }) {
  const pods = new Set(net.pods.map((pod) => new URL(pod.url).host));
  assert.deepEqual([...hosts].filter((host) => !pods.has(host)), [], 'hosts that are no pods');
  const given = new Set((await playing(page)).iceServers.map(({ urls }) => urls));
  const own = [net.pod(1), net.pod(3)].map((pod) => `stun:${new URL(pod.url).host}`);
  assert.deepEqual([...given].filter((server) => !own.includes(server)), [], 'servers given to WebRTC');
}

describe('a video of pod 3 plays on pod 1', () => {
  for (const kind of ['mp4', 'webm', 'ogv']) {
    test(`as ${kind}`, async () => {
      const video = await net.pod(3).upload(clips[kind](), `Real input as ${kind}`);
      const opened = await watch(net.pod(1), video);
      await start(opened.page);
      await eventually('frames are decoded and time advances', async () => {
        const { time, frames } = await playing(opened.page);
        return time > 1 && frames > 10;
      });
      await eventually('the swarm carries it', async () => (await playing(opened.page)).stats?.source === 'swarm' || (await playing(opened.page)).stats?.fromPods > 0);
      const shown = await playing(opened.page);
      assert.equal(shown.error, null);
      await assertPodsOnly(opened);
      assert.deepEqual(opened.complaints, [], 'the console is clean');
      await opened.context.close();
    });
  }
});

test('a second browser is served by the first, even when the origin is gone', async () => {
  const video = await net.pod(3).upload(clips.mp4(12), 'Carried by its viewers');
  const first = await watch(net.pod(1), video);
  await start(first.page);
  await eventually('the first browser has everything', async () => {
    const { stats } = await playing(first.page);
    return stats?.progress === 1;
  });

  net.pod(3).kill();
  const other = await openBrowser();
  try {
    const second = await watch(net.pod(1), video, other);
    await start(second.page);
    const finished = await eventually('the second browser plays to the end', async () => {
      const shown = await playing(second.page);
      // Chromium takes no play for an answer while the origin's address has just failed; a person presses it again.
      if (shown.paused && !shown.ended) await start(second.page);
      if (!shown.ended) throw new Error(JSON.stringify(shown));
      return shown;
      // Longer than the tracker's interval: two browsers that miss each other at first meet at the next announce.
    }, 150_000);
    assert.ok(finished.stats.fromPeers > 0, `bytes from peers: ${JSON.stringify(finished.stats)}`);
    assert.equal(finished.stats.fromPods, 0, 'nobody else had them');
    const giving = await playing(first.page);
    assert.ok(giving.stats.uploaded > 0, `the first browser gave: ${JSON.stringify(giving.stats)}`);
    await assertPodsOnly(second);
    await assertPodsOnly(first);
  } finally {
    await other.close();
  }
});
