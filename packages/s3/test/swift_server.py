"""OpenStack Swift with its S3 API, as one process: proxy, account, container and object server, one device, one copy.

    python3 swift_server.py <directory> <access key> <secret key> [<address>]

All that it has is in the directory, so that it may be killed and started again there, at the same address. It needs
extended attributes (user.*) of the directory's file system, and neither memcached nor a service of the machine. It says
its address, once it serves, in a line of its own; and it ends when its standard input does.
"""

import json
import os
import sys
import time

import eventlet
from eventlet import hubs, patcher, wsgi

patcher.monkey_patch(all=False, socket=True, select=True, thread=True)

from swift.common import constraints, storage_policy, utils  # noqa: E402
from swift.common.http_protocol import SwiftHttpProtocol  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402
from swift.common.wsgi import loadapp  # noqa: E402

SERVERS = ('account', 'container', 'object', 'proxy')
PIPELINES = {
    'proxy': 'catch_errors s3api tempauth slo proxy-server',
    'account': 'account-server',
    'container': 'container-server',
    'object': 'object-server',
}


class Memory:
    """Stands in for memcached, without which tempauth does not begin."""

    def __init__(self):
        self._kept = {}

    def get(self, key, **_):
        value, until = self._kept.get(key, (None, 0))
        return value if until > time.time() else None

    def set(self, key, value, time=0, **_):
        self._kept[key] = (value, now() + (time or 60))

    def incr(self, key, delta=1, time=0, **_):
        value = int(self.get(key) or 0) + int(delta)
        self.set(key, value, time)
        return value

    def delete(self, key, **_):
        self._kept.pop(key, None)


def now():
    return time.time()


def remembering(app):
    memory = Memory()

    def answer(env, start_response):
        env['swift.cache'] = memory
        return app(env, start_response)

    return answer


def configuration(server, directory, access_key, secret_key):
    lines = [
        '[DEFAULT]',
        f'swift_dir = {directory}',
        f'devices = {directory}/devices',
        'mount_check = false',
        'disable_fallocate = true',
        'log_level = CRITICAL',
        '[pipeline:main]',
        f'pipeline = {PIPELINES[server]}',
        f'[app:{server}-server]',
        f'use = egg:swift#{server}',
    ]
    if server != 'proxy':
        return lines
    # A user of Swift has an account before the colon.
    account, user = access_key.split(':')
    return lines + [
        'account_autocreate = true',
        '[filter:catch_errors]',
        'use = egg:swift#catch_errors',
        '[filter:s3api]',
        'use = egg:swift#s3api',
        'location = us-east-1',
        # Lists of dozens come in pages.
        'max_bucket_listing = 20',
        '[filter:tempauth]',
        'use = egg:swift#tempauth',
        f'user_{account}_{user} = {secret_key} .admin',
        # May do nothing.
        f'user_{account}_guest = {secret_key}',
        '[filter:slo]',
        'use = egg:swift#slo',
    ]


def write(path, lines):
    with open(path, 'w') as file:
        file.write('\n'.join(lines) + '\n')


def prepare(directory, access_key, secret_key, address, ports):
    os.makedirs(f'{directory}/devices/one', exist_ok=True)
    write(f'{directory}/swift.conf', ['[swift-hash]', 'swift_hash_path_suffix = islet', '[storage-policy:0]',
                                      'name = one', 'default = yes'])
    for server in SERVERS:
        write(f'{directory}/{server}.conf', configuration(server, directory, access_key, secret_key))
        if server == 'proxy':
            continue
        ring = RingBuilder(part_power=2, replicas=1, min_part_hours=0)
        ring.add_dev({'region': 1, 'zone': 1, 'ip': address, 'port': ports[server], 'device': 'one', 'weight': 1})
        ring.rebalance()
        ring.get_ring().save(f'{directory}/{server}.ring.gz')


def main(directory, access_key, secret_key, address='127.0.0.1'):
    kept = f'{directory}/ports.json'
    ports = json.load(open(kept)) if os.path.exists(kept) else {}
    sockets = {server: eventlet.listen((address, ports.get(server, 0)), backlog=512) for server in SERVERS}
    if not ports:
        ports = {server: socket.getsockname()[1] for server, socket in sockets.items()}
        prepare(directory, access_key, secret_key, address, ports)
        write(kept, [json.dumps(ports)])
    utils.set_swift_dir(directory)
    constraints.reload_constraints()
    storage_policy.reload_storage_policies()
    for server in SERVERS:
        app = loadapp(f'{directory}/{server}.conf')
        serve = remembering(app) if server == 'proxy' else app
        eventlet.spawn(wsgi.server, sockets[server], serve, log_output=False, protocol=SwiftHttpProtocol)
    print(f'http://{address}:{ports["proxy"]}', flush=True)
    hubs.trampoline(sys.stdin, read=True)


if __name__ == '__main__':
    main(*sys.argv[1:])
