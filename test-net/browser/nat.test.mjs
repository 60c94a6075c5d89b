// Two viewers at home, each behind a router that translates addresses. Their pod and the origin tell them by STUN where they are seen from,
// so they reach each other; and nobody else hears of it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { openBrowser, openPage, playing } from './browser.mjs';
import { Internet, RESOLVER, isInside, runInside } from './internet.mjs';
import { Clips, eventually } from './net.mjs';

const BINDING_REQUEST = '000100002112a442';
const BINDING_SUCCESS = '0101000c2112a442';

/**
 * Hosts that Chromium itself asks for accounts and updates, whatever page it shows. Exact names, so that those of well-known STUN servers
 * remain. That no page asks them is seen without a capture.
 */
const OF_CHROMIUM = ['accounts.google.com', 'update.googleapis.com'];

const start = (page) => page.evaluate(() => void document.querySelector('video').play().catch(() => {}));
const addressOf = (pod) => new URL(pod.url).hostname;
const portOf = (pod) => Number(new URL(pod.url).port);

/** A viewer's page, and a browser as people have it: WebRTC hides addresses of the home. */
async function watch(home, pods, video, browsers) {
  // Pages take part in swarms at https, or where this flag says that it is as good.
  const secure = `--unsafely-treat-insecure-origin-as-secure=${pods.map(({ url }) => url).join(',')}`;
  const unasked = `--host-resolver-rules=${OF_CHROMIUM.map((host) => `MAP ${host} ~NOTFOUND`).join(',')}`;
  const browser = await openBrowser({ executable: home.chromium, flags: [secure, unasked] });
  browsers.push(browser);
  const opened = await openPage(browser);
  await opened.page.goto(`${pods[0].url}/w/${video.shortUUID}`);
  await start(opened.page);
  return opened;
}

/** What these two said to each other, one way. */
const between = (flows, from, to) => flows.filter((flow) => flow.from === from && flow.to === to);

/** Ports of a home's router from which a pod was asked by STUN, and answered that it saw just those. */
function seenBy(pod, home, flows) {
  const answers = between(flows, addressOf(pod), home.address).filter((flow) => flow.protocol === 'udp' && flow.fromPort === portOf(pod));
  return answers.map(({ toPort, first }) => {
    const asked = between(flows, home.address, addressOf(pod)).find((flow) => flow.protocol === 'udp' && flow.fromPort === toPort);
    assert.equal(asked.first.slice(0, 16), BINDING_REQUEST);
    assert.equal(first.slice(0, 16), BINDING_SUCCESS);
    assert.equal(first.slice(16, 40), asked.first.slice(16, 40), 'of the same transaction');
    // XOR-MAPPED-ADDRESS of IPv4: port and address behind the cookie's mask (RFC 8489 §14.2).
    const [port, address] = [parseInt(first.slice(52, 56), 16) ^ 0x2112, Buffer.from(first.slice(56, 64), 'hex')];
    assert.equal(address.map((byte, index) => byte ^ [0x21, 0x12, 0xa4, 0x42][index]).join('.'), home.address);
    assert.equal(port, toPort);
    return port;
  });
}

test('viewers behind two routers share a video, by STUN of their pods, and no other host hears of it', async () => {
  if (!isInside()) return runInside(fileURLToPath(import.meta.url));
  const clips = new Clips();
  const internet = await Internet.make();
  const browsers = [];
  try {
    const pods = await internet.startPods(2);
    const [own, origin] = pods;
    const homes = [await internet.addHome(), await internet.addHome()];
    // The second viewer gets no piece from the origin: neither over HTTP nor from its seeder.
    await homes[1].allowOnly(addressOf(origin), portOf(origin));

    const video = await origin.upload(clips.mp4(12), 'Shared from home to home');
    await eventually('the pod knows the video', () => own.json(`/api/v1/videos/${video.uuid}`));
    const first = await watch(homes[0], pods, video, browsers);
    await eventually('the first viewer has everything', async () => {
      const shown = await playing(first.page);
      if (shown.stats?.progress !== 1) throw new Error(JSON.stringify(shown));
      return true;
    });
    const { files } = await own.json(`/api/v1/videos/${video.uuid}`);
    await eventually('the pod has the torrent', async () => (await fetch(files[0].torrentUrl.replace(origin.url, own.url))).ok);

    const second = await watch(homes[1], pods, video, browsers);
    // Longer than the interval of the tracker: two who lose each other meet again at the next announce.
    const finished = await eventually('the second viewer plays to the end', async () => {
      const shown = await playing(second.page);
      // Chromium takes no play for an answer while the origin's address has just failed; a person presses it again.
      if (shown.paused && !shown.ended) await start(second.page);
      if (!shown.ended) throw new Error(JSON.stringify([shown, (await playing(first.page)).stats]));
      return shown;
    }, 150_000);
    assert.equal(finished.stats.fromPods, 0, `the origin was out of reach: ${JSON.stringify(finished.stats)}`);
    assert.ok(finished.stats.fromPeers >= files[0].size, `all came from the other viewer: ${JSON.stringify(finished.stats)}`);

    for (const { hosts, page } of [first, second]) {
      const strangers = [...hosts].filter((host) => !pods.some((pod) => new URL(pod.url).host === host));
      assert.deepEqual(strangers, [], 'hosts that are no pods');
      const given = new Set((await playing(page)).iceServers.map(({ urls }) => urls));
      assert.deepEqual([...given].toSorted(), pods.map((pod) => `stun:${new URL(pod.url).host}`), 'servers given to WebRTC');
    }

    // What the routers saw: their own home, the other one and the two pods.
    const [atFirst, atSecond] = await Promise.all(homes.map((home) => home.capture.flows()));
    const known = [...homes.map((home) => home.address), ...pods.map(addressOf)];
    const strangers = [...atFirst, ...atSecond].filter(({ from, to }) => !known.includes(from) || !known.includes(to));
    assert.deepEqual(strangers, [], 'no other host');
    for (const [home, flows] of [[homes[0], atFirst], [homes[1], atSecond]]) {
      for (const pod of pods) assert.ok(seenBy(pod, home, flows).length > 0, `pod ${pod.number} answered ${home.address} by STUN`);
    }
    // The video went from home to home, out of a port that the pods had seen.
    const [carried] = between(atSecond, homes[0].address, homes[1].address).toSorted((one, other) => other.bytes - one.bytes);
    assert.equal(carried.protocol, 'udp');
    assert.ok(carried.bytes > files[0].size, JSON.stringify(carried));
    for (const pod of pods) assert.ok(seenBy(pod, homes[0], atFirst).includes(carried.fromPort), `pod ${pod.number} told port ${carried.fromPort}`);

    // It would have been noticed.
    await homes[1].askForName();
    await eventually('the capture shows a stranger', async () => between(await homes[1].capture.flows(), homes[1].address, RESOLVER).length > 0);
  } finally {
    await Promise.all(browsers.map((browser) => browser.close()));
    await internet.stop();
    clips.remove();
  }
});
