import { defineConfig } from 'vite'

export default defineConfig({
  build: {
    target: 'es2022',
    // the content security policy allows no data: addresses
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    // `npm run dev` beside a local server: sessions and data come from its viewer
    proxy: Object.fromEntries(['/api', '/session', '/data.csv.gz', '/data.csv'].map((path) => [path, 'http://127.0.0.1:8081'])),
  },
})
