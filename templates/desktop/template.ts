import { debianWith } from '../base/template.ts';

/** What the methods of `@e2b/desktop` run, a desktop that is light, and the programs that agents use on one. */
const PACKAGES = [
  'adwaita-icon-theme',
  'chromium',
  'dbus-daemon',
  'dbus-x11',
  'desktop-file-utils',
  'fonts-dejavu-core',
  'fonts-liberation',
  'fonts-noto-color-emoji',
  'greybird-gtk-theme',
  'libgtk-3-bin',
  'mousepad',
  'net-tools',
  'novnc',
  'scrot',
  'shared-mime-info',
  'thunar',
  'websockify',
  'x11-utils',
  'x11-xserver-utils',
  'x11vnc',
  'xauth',
  'xclip',
  'xdg-utils',
  'xdotool',
  'xfce4-panel',
  'xfce4-session',
  'xfce4-settings',
  'xfce4-terminal',
  'xfconf',
  'xfdesktop4',
  'xfwm4',
  'xvfb',
];

/** What `islet up` and its users call it: the SDK's name. */
export const about = { name: 'desktop', title: 'Desktop template' };

/** The size that its sandboxes get: a browser with a few pages takes half of the memory. */
export const size = { cpuCount: 2, memoryMB: 2048, minFreeDiskMb: 1024 };

/** Debian with Xfce on a virtual screen, Chromium and a terminal, as `@e2b/desktop` uses it. */
export const template = debianWith(PACKAGES)
  .runCmd(
    [
      // Where the SDK starts the page of the stream.
      'ln -s /usr/share/novnc /opt/noVNC',
      'update-desktop-database /usr/local/share/applications',
      // See close-range.c.
      'gcc -O2 -shared -fPIC -o /usr/lib/close-range.so /usr/local/src/close-range.c',
      'echo /usr/lib/close-range.so > /etc/ld.so.preload',
    ],
    { user: 'root' },
  )
  .setStartCmd('desktop-start', 'desktop-ready');
