import { describe, expect, it } from 'vitest';
import { evaluateDenials, parseDenials } from './checks/denials.ts';

// As Linux 6.12 writes them.
const APPARMOR =
  '[  171.5] audit: type=1400 audit(1796014800.250:31): apparmor="DENIED" operation="open" class="file" profile="/usr/sbin/nft" name="/etc/nftables.conf" pid=812 comm="nft" requested_mask="r" denied_mask="r" fsuid=0 ouid=0';
const CAPABILITY =
  'audit: type=1400 audit(1796014801.000:32): apparmor="DENIED" operation="capable" class="cap" profile="unprivileged_userns" pid=8 comm="unshare" capability=21  capname="sys_admin"';
const SELINUX =
  'type=AVC msg=audit(1796014802.125:77): avc:  denied  { read write } for  pid=900 comm="runsc" name="x" dev="vda" ino=1 scontext=system_u:system_r:init_t:s0 tcontext=unconfined_u:object_r:user_home_t:s0 tclass=file permissive=0';

describe('what the kernel denied while the doctor looked', () => {
  it('is told with the module that denied it, the program, and what gives it back', () => {
    const result = evaluateDenials(parseDenials([APPARMOR, CAPABILITY, SELINUX].join('\n'), 1796014800));
    expect(result.status).toBe('warning');
    expect(result.detail).toBe(
      'AppArmor denied nft "open /etc/nftables.conf" under /usr/sbin/nft; ' +
        'AppArmor denied unshare "capable sys_admin" under unprivileged_userns; ' +
        'SELinux denied runsc "read write file" under system_u:system_r:init_t:s0',
    );
    expect(result.fix).toContain('aa-complain "/usr/sbin/nft" "unprivileged_userns"');
    expect(result.fix).toContain('audit2allow');
  });

  it.each([
    ['happened before', APPARMOR, 1796014801],
    ['was allowed all the same', SELINUX.replace('permissive=0', 'permissive=1'), 0],
    ['is a complaint only', APPARMOR.replace('DENIED', 'ALLOWED'), 0],
    ['is no record of the kind', 'audit: type=1300 audit(1796014800.250:31): arch=c000003e syscall=59', 0],
  ])('is nothing if it %s', (_, line, since) => {
    expect(evaluateDenials(parseDenials(line, since))).toMatchObject({ status: 'ok' });
  });
});
