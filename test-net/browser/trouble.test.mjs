// When something is in the way: the switch is off, the browser cannot play the file, the origin goes away.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { openBrowser, openPage, playing, slowDown } from './browser.mjs';
import { look } from './look.mjs';
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

const start = (page) => page.evaluate(() => void document.querySelector('video').play().catch(() => {}));

async function open(pod, video, { sharing = true, slow } = {}) {
  await eventually(`pod ${pod.number} knows the video`, () => pod.json(`/api/v1/videos/${video.uuid}`));
  const opened = await openPage(browser);
  // The choice as the switch left it on an earlier visit.
  if (!sharing) await opened.context.addInitScript(() => localStorage.setItem('seedpod.sharing', 'off'));
  if (slow) await slowDown(opened, slow);
  await opened.page.goto(`${pod.url}/w/${video.shortUUID}`);
  return opened;
}

const connectionsOf = (page) => page.evaluate(() => globalThis.peerConnections);

test('with sharing off there is no WebRTC and no tracker, and the video plays', async () => {
  const video = await net.pod(3).upload(clips.mp4(), 'Nobody is told');
  const opened = await open(net.pod(1), video, { sharing: false });
  await start(opened.page);
  await eventually('it plays', async () => (await playing(opened.page)).time > 1);
  assert.equal(await connectionsOf(opened.page), 0);
  assert.deepEqual(opened.sockets, []);
  await opened.page.getByText('Sharing is off').waitFor();
  await look(opened, 'trouble-sharing-off', net.pods, { fullPage: false });

  // The switch joins at once, and leaves at once.
  await opened.page.getByRole('switch').check();
  await eventually('the tracker is asked', () => opened.sockets.length > 0);
  await opened.page.getByRole('switch').uncheck();
  await opened.page.getByText('Sharing is off').waitFor();
  await opened.context.close();
});

test('a file that this browser cannot decode is told in words', async () => {
  const video = await net.pod(3).upload(clips.theora(), 'From an old camera');
  const opened = await open(net.pod(1), video);
  await start(opened.page);
  await opened.page.locator('.player-note').getByText('This browser cannot show this kind of video').waitFor();
  await look(opened, 'trouble-theora', net.pods, { fullPage: false });
  await opened.context.close();
});

test('an origin that goes away while somebody watches over HTTP is told in words', async () => {
  const video = await net.pod(3).upload(clips.weighty(), 'Carried by one pod alone');
  // Faster than the video plays, slower than it would be here by itself: much is still to come when the pod goes.
  const opened = await open(net.pod(1), video, { sharing: false, slow: 4_000_000 });
  await start(opened.page);
  await eventually('it plays', async () => (await playing(opened.page)).time > 0.5);
  net.pod(3).kill();
  const host = new URL(net.pod(3).url).host;
  await opened.page.locator('.player-note').getByText(host).waitFor({ timeout: 40_000 });
  await look(opened, 'trouble-origin-away', net.pods, { fullPage: false, expected: [/ERR_|Failed to load resource/] });
  await opened.context.close();
});
