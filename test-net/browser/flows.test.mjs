// What people do, by clicking as they would: with scripts, and without any.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { openBrowser, openPage } from './browser.mjs';
import { look, shoot } from './look.mjs';
import { Clips, eventually, startNet } from './net.mjs';

let net;
let clips;
let browser;

before(async () => {
  clips = new Clips();
  // Nobody is a friend yet, and every request waits for an answer by hand.
  [net, browser] = await Promise.all([startNet(3, { friends: false, environment: { SEEDPOD__NETWORK__POLICY: 'ask' } }), openBrowser()]);
});

after(async () => {
  await browser?.close();
  await net?.stop();
  clips?.remove();
});

async function logIn(page, pod) {
  await page.goto(pod.url);
  await page.getByRole('link', { name: 'Log in' }).click();
  await page.getByLabel('User name').fill('root');
  await page.getByLabel('Password').fill(pod.password);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByLabel('Menu of root').waitFor();
}

/** A person logged in on a pod, in a browser window of their own. */
async function personOn(pod, options) {
  const opened = await openPage(browser, options);
  await logIn(opened.page, pod);
  return opened;
}

const friendsOf = async (pod) => (await pod.json('/api/v1/pods')).data.map((friend) => friend.host).sort();
const hostOf = (pod) => new URL(pod.url).host;
const titlesOn = async (pod) => (await pod.json('/api/v1/videos')).data.map((video) => video.name);

/** Asks from one pod's network page, accepts on the other's. */
async function befriend(asking, asked) {
  const one = net.pod(asking.number);
  const other = net.pod(asked.number);
  await asking.page.goto(`${one.url}/network`);
  await asking.page.getByLabel('Addresses of pods').fill(hostOf(other));
  await asking.page.getByRole('button', { name: 'Make friends' }).click();
  await asking.page.getByText('Waiting for them to accept').first().waitFor();
  await asked.page.goto(`${other.url}/network`);
  await asked.page.getByRole('button', { name: `Accept ${hostOf(one)}` }).click();
  await asked.page.getByText('You are friends now').waitFor();
}

for (const [how, options] of [['with scripts', {}], ['without scripts', { javaScriptEnabled: false }]]) {
  describe(how, () => {
    const people = {};
    before(async () => {
      for (const number of [1, 2, 3]) people[number] = { number, ...(await personOn(net.pod(number), options)) };
    });
    after(async () => {
      for (const { context } of Object.values(people)) await context.close();
    });

    test('friends are made by asking on one pod and accepting on the other', async () => {
      await people[1].page.goto(`${net.pod(1).url}/network`);
      await people[1].page.getByLabel('Addresses of pods').fill(hostOf(net.pod(2)));
      await people[1].page.getByRole('button', { name: 'Make friends' }).click();
      await people[1].page.getByText('The pod was asked').waitFor();
      await people[1].page.getByText('Waiting for them to accept').first().waitFor();
      await shoot(people[1].page, `flow-asking-${how.replace(' ', '-')}`, { fullPage: true });
      // Who looks at the page with scripts sees the request arrive.
      await people[2].page.goto(`${net.pod(2).url}/network`);
      if (how === 'with scripts') await look(people[2], 'flow-asked', net.pods);
      await people[2].page.getByRole('button', { name: `Accept ${hostOf(net.pod(1))}` }).click();
      await people[2].page.getByText('You are friends now').waitFor();
      await befriend(people[1], people[3]);
      await befriend(people[2], people[3]);
      const hosts = net.pods.map(hostOf).sort();
      for (const pod of net.pods) await eventually(`pod ${pod.number} has both others`, async () => String(await friendsOf(pod)) === String(hosts.filter((host) => host !== hostOf(pod))));
      await people[1].page.goto(net.pod(1).url);
      await people[1].page.getByText('3 pods').first().waitFor();
    });

    test('an address that is no pod is refused in words, and stays in the form', async () => {
      const { page } = people[1];
      await page.goto(`${net.pod(1).url}/network`);
      await page.getByLabel('Addresses of pods').fill('localhost:1');
      await page.getByRole('button', { name: 'Make friends' }).click();
      assert.match(await page.getByRole('alert').textContent(), /localhost:1/);
      assert.equal(await page.getByLabel('Addresses of pods').inputValue(), 'localhost:1');
    });

    test('a clip is uploaded, edited and deleted, and all pods follow', async () => {
      const { page } = people[1];
      const title = `Uploaded ${how}`;
      await page.goto(net.pod(1).url);
      await page.getByRole('link', { name: 'Upload', exact: true }).first().click();
      await page.getByLabel('Title').fill(title);
      await page.getByLabel('Description').fill('One line.\nAnother line.');
      await page.getByText('Category, licence, language, tags').click();
      await page.getByLabel('Tags').fill('test, clip');
      await page.getByLabel('Video file').setInputFiles(clips.weighty());
      if (how === 'with scripts') {
        // The upload is watched as a person would: a bar that has begun and not ended.
        const progress = page.evaluate(() => new Promise((resolve) => {
          const seen = [];
          new MutationObserver(() => {
            const bar = document.querySelector('upload-progress progress');
            if (bar && bar.value !== seen.at(-1)) seen.push(bar.value);
            if (bar && bar.value === bar.max) resolve({ seen, step: document.querySelector('[data-step="send"]').dataset.state });
          }).observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
        }));
        await page.getByRole('button', { name: 'Publish' }).click();
        const { seen, step } = await progress;
        assert.ok(seen.length > 2, `the bar moved: ${seen}`);
        assert.equal(step, 'done');
      } else {
        await page.getByRole('button', { name: 'Publish' }).click();
      }
      await page.waitForURL(/\/w\//);
      await page.getByRole('heading', { level: 1, name: title }).waitFor();
      for (const pod of net.pods) await eventually(`pod ${pod.number} shows it`, async () => (await titlesOn(pod)).includes(title));

      await page.getByRole('link', { name: 'Edit' }).click();
      await page.getByLabel('Title').fill(`${title}, better`);
      await page.getByRole('button', { name: 'Save' }).click();
      await page.getByText('Your changes are saved').waitFor();
      for (const pod of net.pods) await eventually(`pod ${pod.number} shows the new title`, async () => (await titlesOn(pod)).includes(`${title}, better`));

      await people[3].page.goto(net.pod(3).url);
      await people[3].page.getByRole('link', { name: `${title}, better` }).click();
      await people[3].page.getByRole('heading', { level: 1, name: `${title}, better` }).waitFor();
      const source = await people[3].page.locator('video source').first().getAttribute('src');
      assert.ok(source.startsWith(`${net.pod(1).url}/static/webseed/`), `the source is the origin's: ${source}`);
      const answer = await fetch(source, { headers: { range: 'bytes=0-99' } });
      assert.equal(answer.status, 206);
      assert.equal((await answer.arrayBuffer()).byteLength, 100);
      // The channel is a click away, there and here.
      await people[3].page.getByRole('link', { name: 'Main root channel' }).first().click();
      await people[3].page.getByRole('heading', { level: 1, name: 'Main root channel' }).waitFor();
      await people[3].page.getByRole('link', { name: `${title}, better` }).waitFor();
      if (how === 'with scripts') await look(people[3], 'flow-channel', net.pods);
      await people[3].page.getByRole('link', { name: 'root', exact: true }).click();
      await people[3].page.getByRole('heading', { level: 1, name: 'root' }).waitFor();
      await people[3].page.getByRole('link', { name: `${title}, better` }).waitFor();

      await page.getByLabel(`Delete ${title}, better`).click();
      await page.getByText('tells every pod to forget').first().waitFor();
      await shoot(page, `flow-delete-${how.replace(' ', '-')}`);
      await page.getByRole('button', { name: 'Delete for good' }).click();
      await page.getByText('The video was removed').waitFor();
      for (const pod of net.pods) await eventually(`pod ${pod.number} has forgotten it`, async () => !(await titlesOn(pod)).includes(`${title}, better`));
    });

    test('one friend is removed, then all are', async () => {
      const { page } = people[1];
      await page.goto(`${net.pod(1).url}/network`);
      const row = page.getByRole('row', { name: hostOf(net.pod(3)) });
      await row.getByText('Remove…').click();
      await row.getByRole('button', { name: 'Remove' }).click();
      await page.getByText('That friendship is over').waitFor();
      await eventually('pod 3 has heard', async () => !(await friendsOf(net.pod(3))).includes(hostOf(net.pod(1))));
      assert.deepEqual(await friendsOf(net.pod(1)), [hostOf(net.pod(2))]);
      // The other end sees that it was left, and by whom.
      await people[3].page.goto(`${net.pod(3).url}/network`);
      await people[3].page.getByText('Ended: they ended the friendship').waitFor();
      if (how === 'with scripts') await look(people[3], 'flow-ended', net.pods);
      for (const number of [1, 2, 3]) {
        const { page: own } = people[number];
        await own.goto(`${net.pod(number).url}/network`);
        if ((await friendsOf(net.pod(number))).length === 0) continue;
        await own.getByText('Quit the network…').click();
        await own.getByRole('button', { name: 'Quit the network' }).click();
        await own.getByText('All friendships are over').waitFor();
        for (const pod of net.pods) await eventually('everybody has heard', async () => !(await friendsOf(pod)).includes(hostOf(net.pod(number))));
      }
      for (const pod of net.pods) assert.deepEqual(await friendsOf(pod), []);
    });

    test('logging out ends it', async () => {
      const { page, context } = people[1];
      await page.goto(net.pod(1).url);
      await page.getByLabel('Menu of root').click();
      await page.getByRole('button', { name: 'Log out' }).click();
      await page.getByRole('link', { name: 'Log in' }).waitFor();
      assert.deepEqual((await context.cookies()).filter((cookie) => cookie.value !== ''), []);
      await page.goto(`${net.pod(1).url}/my/videos`);
      await page.getByRole('heading', { name: 'Log in to' }).waitFor();
    });
  });
}
