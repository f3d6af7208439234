/** A store for one test. */
export interface StoreSubject<Store> extends AsyncDisposable {
  store: Store;
}

export type OpenStore<Store> = () => Promise<StoreSubject<Store>>;
