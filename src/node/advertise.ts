/** As os.networkInterfaces gives them, in the system's order. */
export type Interfaces = Readonly<
  Record<string, readonly { readonly address: string; readonly internal: boolean }[] | undefined>
>;

/** Interfaces that a container engine or a virtual machine made for what runs on this machine. */
const LOCAL_BRIDGE = /^(docker|br-|virbr|veth|cni|flannel|cali|lxc|podman|vmnet|bridge)/;

/**
 * The address under which others reach this machine: the first that is usable, IPv4 before IPv6, those of
 * bridges to its own containers last. null if there is none but loopback and link-local ones. (ckit's package
 * advertise asks eth0 and en0 alone, and ranks the same way.)
 */
export function advertisedIp(interfaces: Interfaces): string | null {
  const usable = Object.entries(interfaces)
    .flatMap(([name, addresses]) => (addresses ?? []).map((found) => ({ name, ...found })))
    .filter(({ address, internal }) => !internal && unreachable(address) === null);
  const rank = ({ name, address }: { name: string; address: string }) =>
    Number(LOCAL_BRIDGE.test(name)) * 2 + Number(address.includes(":"));
  return usable.sort((a, b) => rank(a) - rank(b))[0]?.address ?? null;
}

/** Why nobody can reach a peer at this IP address; null if somebody may, if only on this machine. */
export function unreachable(ip: string): string | null {
  if (ip === "::" || ip.startsWith("0.")) return "stands for all addresses";
  if (ip.startsWith("169.254.") || /^fe[89ab]/i.test(ip)) return "is link-local";
  if (/^(22[4-9]|2[345]\d)\./.test(ip) || /^ff/i.test(ip)) return "is no address of one machine";
  return null;
}
