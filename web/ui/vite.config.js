// One script for each kind of page, plus what they share. The manifest tells the pod their hashed names.
import { defineConfig } from 'vite';

export default defineConfig({
  // Addresses inside the scripts: the pod serves this folder as /ui/.
  base: '/ui/',
  publicDir: false,
  build: {
    outDir: 'dist',
    // `vendor/` in there belongs to scripts/build-ui, which removes old scripts itself.
    emptyOutDir: false,
    assetsDir: '.',
    manifest: 'manifest.json',
    target: ['chrome111', 'firefox115', 'safari16.4'],
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: ['src/page.ts', 'src/watch.ts', 'src/upload.ts', 'src/network.ts'],
    },
  },
  test: {
    environment: 'happy-dom',
    include: ['test/*.test.ts'],
  },
});
