import { createMemoryNotices } from './memory.ts';
import { noticesContract } from './notices.contract.ts';

noticesContract('memory', async () => {
  const notices = createMemoryNotices();
  return [notices, notices];
});
