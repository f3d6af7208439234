import { afterEach, beforeEach } from 'vitest';

/** A store for one test, that nothing is in. */
export interface StoreSubject<Store> extends AsyncDisposable {
  store: Store;
}

export type OpenStore<Store> = () => Promise<StoreSubject<Store>>;

/** Opens a store for each test of a suite. Gives the one of the test that runs. */
export function storeForEach<Store>(open: OpenStore<Store>): () => Store {
  let subject: StoreSubject<Store>;
  beforeEach(async () => {
    subject = await open();
  });
  afterEach(() => subject[Symbol.asyncDispose]());
  return () => subject.store;
}
