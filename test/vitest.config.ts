import { defineConfig } from 'vitest/config'

export default defineConfig({
  resolve: { tsconfigPaths: true },
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/kafka/global-setup.ts'],
    // A rejection that nobody handles ends the run: fire-and-forget must never produce one.
    pool: 'forks',
    execArgv: ['--unhandled-rejections=strict'],
    coverage: { provider: 'v8', include: ['src/**/*.ts'], thresholds: { lines: 95, branches: 90 } },
  },
})
