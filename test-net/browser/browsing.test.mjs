// Going from page to page without leaving the document, and giving on meanwhile what was watched.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { openBrowser, openPage, playing } from './browser.mjs';
import { FURTHER_RULES, SCREENS, look, shoot } from './look.mjs';
import { Clips, eventually, startNet } from './net.mjs';

let net;
let clips;
let browser;
const videos = {};

before(async () => {
  clips = new Clips();
  [net, browser] = await Promise.all([startNet(3), openBrowser()]);
  const clip = clips.mp4(10);
  videos.own = await net.pod(1).upload(clip, 'Published here');
  videos.far = await net.pod(3).upload(clips.webm(5), 'From the third pod');
  videos.near = await net.pod(2).upload(clips.ogv(5), 'From the second pod');
  await eventually('pod 1 has all three', async () => (await net.pod(1).json('/api/v1/videos')).total === 3);
});

after(async () => {
  await browser?.close();
  await net?.stop();
  clips?.remove();
});

/** A page that remembers its document: a number which only a load sets. */
async function open(path, options) {
  const opened = await openPage(browser, options);
  await opened.page.addInitScript(() => {
    globalThis.born = Math.random();
  });
  await opened.page.goto(net.pod(1).url + path);
  opened.born = () => opened.page.evaluate(() => globalThis.born);
  return opened;
}

const heading = (page, name) => page.getByRole('heading', { level: 1, name }).waitFor({ state: 'attached' });
const start = (page) => page.evaluate(() => void document.querySelector('video').play().catch(() => {}));

test('links keep the document: title, address, focus, place and history are those of a loaded page', async () => {
  const opened = await open('/');
  const { page, complaints } = opened;
  const born = await opened.born();
  await page.getByRole('link', { name: 'About and privacy' }).click();
  await heading(page, /^About/);
  assert.equal(new URL(page.url()).pathname, '/about');
  assert.match(await page.title(), /^About ·/);
  assert.equal(await page.evaluate(() => document.activeElement.localName), 'h1', 'the heading has the focus');
  assert.equal(await page.evaluate(() => scrollY), 0);
  await page.evaluate(() => scrollTo(0, 200));
  await eventually('it scrolled', () => page.evaluate(() => scrollY > 100));
  const place = await page.evaluate(() => scrollY);
  await page.getByRole('link', { name: /^Network/ }).first().click();
  await heading(page, 'Network');
  await page.goBack();
  await heading(page, /^About/);
  await eventually('it is where it was left', async () => (await page.evaluate(() => scrollY)) === place);
  await page.goForward();
  await heading(page, 'Network');
  await page.getByRole('link', { name: 'Seedpod, home' }).click();
  await heading(page, 'Videos of this network');
  await page.getByRole('link', { name: 'Published here' }).click();
  await heading(page, 'Published here');
  await page.locator('media-controller').waitFor();
  await start(page);
  await eventually('it plays', async () => (await playing(page)).time > 0.5);
  await page.getByRole('navigation', { name: 'Pod' }).getByRole('link', { name: 'Log in' }).click();
  await heading(page, /^Log in/);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'username', 'a form that wants to be filled in is');
  assert.equal(await opened.born(), born, 'one document');
  assert.deepEqual(complaints, []);
  await opened.context.close();
});

test('of two quick clicks the last one counts', async () => {
  const opened = await open('/');
  const { page } = opened;
  const born = await opened.born();
  await page.route('**/about', async (route) => {
    await new Promise((resolve) => setTimeout(resolve, 600));
    await route.continue().catch(() => {});
  });
  await page.getByRole('link', { name: 'About and privacy' }).click();
  await page.getByRole('link', { name: /^Network/ }).first().click();
  await heading(page, 'Network');
  await page.waitForTimeout(900);
  assert.equal(new URL(page.url()).pathname, '/network');
  assert.equal(await opened.born(), born);
  await opened.context.close();
});

test('a page whose video comes from elsewhere is loaded anew, with a policy of its own', async () => {
  const opened = await open('/');
  const { page, complaints } = opened;
  const born = await opened.born();
  await page.getByRole('link', { name: 'From the second pod' }).click();
  await heading(page, 'From the second pod');
  const second = await opened.born();
  assert.notEqual(second, born, 'another document');
  // From there on, what needs nobody else stays.
  await page.getByRole('link', { name: 'Seedpod, home' }).click();
  await heading(page, 'Videos of this network');
  await page.getByRole('link', { name: 'From the second pod' }).click();
  await heading(page, 'From the second pod');
  assert.equal(await opened.born(), second, 'its sources are in the policy already');
  await page.getByRole('link', { name: 'From the third pod' }).first().click();
  await heading(page, 'From the third pod');
  assert.notEqual(await opened.born(), second);
  assert.deepEqual(complaints, [], 'nothing was refused');
  await opened.context.close();
});

test('errors, other builds and what is no page are left to the browser', async () => {
  const opened = await open('/');
  const { page } = opened;
  let born = await opened.born();
  await page.evaluate(() => document.querySelector('main').append(Object.assign(document.createElement('a'), { href: '/no/such/page', textContent: 'nowhere' })));
  await page.getByRole('link', { name: 'nowhere' }).click();
  await page.getByText('Nothing here').waitFor();
  assert.notEqual(await opened.born(), born);
  await page.goto(net.pod(1).url);
  born = await opened.born();
  await page.route('**/about', async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ response: answer, body: (await answer.text()).replace(/\/ui\/page-[^"]+/, '/ui/page-another0.js') });
  }, { times: 1 });
  await page.getByRole('link', { name: 'About and privacy' }).click();
  await heading(page, /^About/);
  assert.notEqual(await opened.born(), born, 'a pod that was upgraded');
  await opened.context.close();
});

test('a link clicked during an upload asks first, and the upload goes on', async () => {
  const opened = await open('/login');
  const { page, context } = opened;
  await page.getByLabel('User name').fill('root');
  await page.getByLabel('Password').fill(net.pod(1).password);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByLabel('Menu of root').waitFor();
  await page.getByRole('link', { name: 'Upload', exact: true }).click();
  await heading(page, 'Upload');
  await page.getByLabel('Title').fill('Sent slowly');
  await page.getByLabel('Video file').setInputFiles(clips.weighty());
  const line = await context.newCDPSession(page);
  await line.send('Network.enable');
  await line.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: 8_000_000 });
  await page.getByRole('button', { name: 'Publish' }).click();
  await page.getByRole('progressbar').waitFor();
  const asked = page.waitForEvent('dialog');
  void page.getByRole('link', { name: /^Network/ }).first().click({ noWaitAfter: true }).catch(() => {});
  const dialog = await asked;
  assert.equal(dialog.type(), 'beforeunload');
  await dialog.dismiss();
  await line.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
  await page.waitForURL(/\/w\//, { timeout: 60_000 });
  await heading(page, 'Sent slowly');
  await context.close();
});

test('what was watched is given to others while its viewer browses and its origin is gone', async () => {
  const giver = await open(`/w/${videos.far.shortUUID}`);
  const { page } = giver;
  const born = await giver.born();
  await start(page);
  await eventually('all of it is here', async () => (await playing(page)).stats?.progress === 1);
  await page.getByRole('link', { name: 'Seedpod, home' }).click();
  await heading(page, 'Videos of this network');
  const chip = page.getByRole('complementary', { name: 'Sharing' });
  await chip.getByText('Sharing 1 video you watched').waitFor();
  await page.getByRole('link', { name: /^Network/ }).first().click();
  await heading(page, 'Network');
  assert.equal(await giver.born(), born);

  net.pod(3).kill();
  const other = await openBrowser();
  try {
    const taker = await openPage(other);
    await taker.page.goto(`${net.pod(1).url}/w/${videos.far.shortUUID}`);
    await start(taker.page);
    const { stats } = await eventually('the second browser has it all', async () => {
      const shown = await playing(taker.page);
      if (shown.paused && !shown.ended) await start(taker.page);
      if (!shown.ended) throw new Error(JSON.stringify(shown));
      return shown;
    }, 150_000);
    assert.ok(stats.fromPeers > 0, JSON.stringify(stats));
    assert.equal(stats.fromPods, 0, 'nobody else had it');
    await chip.getByText(/given/).waitFor();
    await shoot(page, 'sharing-chip');
    // Back at the video, what was given is still known.
    await page.goBack();
    await page.getByRole('link', { name: 'From the third pod' }).first().click();
    await heading(page, 'From the third pod');
    await eventually('the same swarm goes on', async () => {
      const { stats } = await playing(page);
      return stats.progress === 1 && stats.uploaded > 0;
    });
    await chip.waitFor({ state: 'hidden' });
    await page.getByRole('link', { name: 'Seedpod, home' }).click();
    await chip.getByRole('button', { name: /Stop/ }).click();
    await chip.waitFor({ state: 'hidden' });
    assert.equal(await giver.born(), born, 'one document all the way');
    await taker.context.close();
  } finally {
    await other.close();
  }
  await giver.context.close();
});

for (const [screen, options] of Object.entries(SCREENS)) {
  test(`the chip on the screen “${screen}”`, async () => {
    const opened = await open(`/w/${videos.own.shortUUID}`, options);
    const { page } = opened;
    await start(page);
    await eventually('all of it is here', async () => (await playing(page)).stats?.progress === 1);
    await page.getByRole('link', { name: 'Seedpod, home' }).click();
    await page.getByText('Sharing 1 video you watched').waitFor();
    await look(opened, `sharing-${screen}`, net.pods, { rules: FURTHER_RULES[screen], fullPage: false });
    await opened.context.close();
  });
}

test('the switch ends it all', async () => {
  const opened = await open(`/w/${videos.own.shortUUID}`);
  const { page } = opened;
  await start(page);
  await eventually('all of it is here', async () => (await playing(page)).stats?.progress === 1);
  await page.getByRole('link', { name: 'Seedpod, home' }).click();
  await page.getByText('Sharing 1 video you watched').waitFor();
  await page.getByRole('link', { name: 'Published here' }).click();
  await page.getByRole('switch').uncheck();
  await page.getByText('Sharing is off').waitFor();
  await page.getByRole('link', { name: 'Seedpod, home' }).click();
  await heading(page, 'Videos of this network');
  assert.equal(await page.getByText(/you watched/).isVisible(), false);
  await opened.context.close();
});
