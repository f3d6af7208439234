/** What the gateway's process is given beside its standard ones: the socket that it accepts from, and its line to the node. */
export const LISTEN_DESCRIPTOR = 3;
export const CONTROL_DESCRIPTOR = 4;
