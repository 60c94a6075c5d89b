// One script for each kind of page, plus what they share. The manifest tells the pod their hashed names.
import { fileURLToPath } from 'node:url';

import { defineConfig } from 'vite';

/** Gives media-chrome our globals in place of its own: see `src/adopted-styles.ts`. */
function adoptedStyles() {
  const ours = fileURLToPath(new URL('src/adopted-styles.ts', import.meta.url));
  let used = false;
  return {
    name: 'adopted-styles',
    enforce: 'pre',
    resolveId(source, importer) {
      if (!importer?.includes('/node_modules/media-chrome/') || !source.endsWith('/server-safe-globals.js')) return null;
      used = true;
      return ours;
    },
    buildEnd() {
      // A release that is built otherwise would be refused by the pages' policy, and only the browser would say so.
      if (!used) this.error('media-chrome no longer asks for server-safe-globals.js: look at src/adopted-styles.ts');
    },
  };
}

export default defineConfig({
  // Addresses inside the scripts: the pod serves this folder as /ui/.
  base: '/ui/',
  publicDir: false,
  plugins: [adoptedStyles()],
  build: {
    outDir: 'dist',
    // `vendor/` in there belongs to scripts/build-ui, which removes old scripts itself.
    emptyOutDir: false,
    assetsDir: '.',
    manifest: 'manifest.json',
    target: ['chrome111', 'firefox115', 'safari16.4'],
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: ['src/page.ts', 'src/watch.ts', 'src/upload.ts'],
    },
  },
  test: {
    environment: 'happy-dom',
    include: ['test/*.test.ts'],
  },
});
