// People come in by themselves, and administrators look after them: with scripts, and without any.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { openBrowser, openPage } from './browser.mjs';
import { SCREENS, look } from './look.mjs';
import { startNet } from './net.mjs';

let net;
let browser;

before(async () => {
  [net, browser] = await Promise.all([startNet(1), openBrowser()]);
});

after(async () => {
  await browser?.close();
  await net?.stop();
});

async function administrator(options) {
  const opened = await openPage(browser, options);
  const { page } = opened;
  await page.goto(`${net.pod(1).url}/login`);
  await page.getByLabel('User name').fill('root');
  await page.getByLabel('Password').fill(net.pod(1).password);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByLabel('Menu of root').waitFor();
  return opened;
}

for (const [how, options, name] of [['with scripts', {}, 'ann'], ['without scripts', { javaScriptEnabled: false }, 'bob']]) {
  describe(how, () => {
    test('somebody signs up, is made a moderator, and is deleted', async () => {
      const pod = net.pod(1);
      const person = await openPage(browser, options);
      await person.page.goto(pod.url);
      await person.page.getByRole('link', { name: 'Log in' }).click();
      await person.page.getByRole('link', { name: 'Sign up' }).click();
      await person.page.getByRole('heading', { name: /^Sign up to/ }).waitFor();
      const form = async (username) => {
        await person.page.getByLabel('User name').fill(username);
        await person.page.getByLabel('Email').fill(`${name}@example.com`);
        await person.page.getByLabel(/^Password/).fill('a password');
        await person.page.getByRole('button', { name: 'Sign up' }).click();
      };
      await form('root');
      await person.page.getByRole('alert').getByText('The username `root` is taken.').waitFor();
      assert.equal(await person.page.getByLabel('Email').inputValue(), `${name}@example.com`, 'what was typed stays');
      await form(name);
      await person.page.getByText('Welcome.').waitFor();
      await person.page.getByLabel(`Menu of ${name}`).waitFor();

      const root = await administrator(options);
      await root.page.getByLabel('Menu of root').click();
      await root.page.getByRole('link', { name: 'Users' }).click();
      await root.page.getByRole('heading', { name: 'Users', exact: true }).waitFor();
      await root.page.getByLabel(`Role of ${name}`, { exact: true }).selectOption('Moderator');
      await root.page.getByRole('button', { name: `Save the role of ${name}` }).click();
      await root.page.getByText('The role is saved').waitFor();
      assert.equal(await root.page.getByLabel(`Role of ${name}`, { exact: true }).inputValue(), '1');
      await root.page.getByLabel('Role of root', { exact: true }).selectOption('User');
      await root.page.getByRole('button', { name: 'Save the role of root' }).click();
      await root.page.getByRole('alert').getByText('The last administrator stays one.').waitFor();

      await root.page.goto(`${pod.url}/admin/users`);
      await root.page.getByLabel(`Delete ${name}`, { exact: true }).click();
      await root.page.getByRole('button', { name: `Delete ${name} for good` }).click();
      await root.page.getByText('The user is deleted').waitFor();
      assert.equal(await root.page.getByLabel(`Role of ${name}`, { exact: true }).count(), 0);
      await person.page.goto(`${pod.url}/my/videos`);
      await person.page.getByRole('heading', { name: /^Log in to/ }).waitFor();
      for (const opened of [person, root]) await opened.context.close();
    });
  });
}

test('an administrator makes a user', async () => {
  const { page, context } = await administrator();
  await page.goto(`${net.pod(1).url}/admin/users`);
  await page.getByLabel('User name').fill('carl');
  await page.getByLabel('Email').fill('carl@example.com');
  await page.getByLabel('Password').fill('a password');
  await page.getByRole('button', { name: 'Make this user' }).click();
  await page.getByText('The user is made').waitFor();
  await page.getByRole('heading', { name: 'carl' }).waitFor();
  await context.close();
});

test('it looks right on every screen', async () => {
  for (const [screen, options] of Object.entries(SCREENS)) {
    const opened = await administrator(options);
    await opened.page.goto(`${net.pod(1).url}/admin/users`);
    await look(opened, `users-${screen}`, net.pods);
    await opened.context.close();
    const person = await openPage(browser, options);
    await person.page.goto(`${net.pod(1).url}/signup`);
    await look(person, `signup-${screen}`, net.pods);
    await person.context.close();
  }
});
