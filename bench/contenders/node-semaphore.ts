// A permit of ours, taken through two nodes of a cluster which a third one leads.
import { handOver } from "../hand-over.ts";
import { playRole } from "../roles.ts";
import { joined } from "./node.ts";

if (import.meta.main) {
  await playRole({
    load: async (info) => {
      const node = await joined(info, Number(info.members) + 1 + Number(info.client));
      if (node.isLeader) throw new Error("another node leads than meant");
      const take = async (name: string) => {
        const permit = await node.semaphore(name, 1).acquire();
        return () => permit.release();
      };
      return handOver(take, info);
    },
  });
}
