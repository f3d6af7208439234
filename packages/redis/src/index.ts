export { type LiveStore, type LiveStoreOptions, openLiveStore } from './live-store.ts';
