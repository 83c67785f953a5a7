/* Frames of EtherIP (RFC 3378) that one outer packet holds, from device to line and back without leaving
 * the kernel. Whatever is not plain goes on to the process, as if nothing of this was there; docs/ENGINES.md
 * lists duty by duty what is done here, and what is left to it. All of it does while the process is silent.
 *
 *   fabric     device  ── leave ─▶ pair ═══▶ pair ── push ─▶ line     underlay
 *              device ◀─ arrive ── pair ◀═══ pair ◀── pop ◀─ hear ── line
 *
 * Between the two namespaces a VLAN tag says whose frame it is: the number of the tunnel's entry, and one. A
 * tunnel that changes has another number, so that what is under way leaves by the entry that it began with. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/pkt_cls.h>

#define PART(name) __attribute__((section(name), used))
#define INLINE static __attribute__((always_inline)) inline
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define NET16(x) __builtin_bswap16(x)
#else
#define NET16(x) (x)
#endif

/* The loader puts the map of this number in the place of the marked constant. */
#define MAP(number) ({ void *map; asm volatile("%0 = 0x7453" #number " ll" : "=r"(map)); map; })
#define SLOTS MAP(0001)    /* hash: interface index of a device -> number of its entry */
#define SENDS MAP(0002)    /* array: number -> struct send */
#define RECEIVES MAP(0003) /* hash: struct ends -> struct receive */
#define DEVICES MAP(0004)  /* array: number -> interface index of the device */
#define COUNTS MAP(0005)   /* array: number -> struct counts */
#define PAIR MAP(0006)     /* array of two: the pair's interface indices, fabric's and underlay's */
#define UNTIL MAP(0007)    /* array of one: until when the process lives, monotonic nanoseconds */
#define FOUND MAP(0008)    /* array of one for each processor: struct found */

static void *(*const lookup)(void *, const void *) = (void *)BPF_FUNC_map_lookup_elem;
static long (*const load)(const void *, __u32, void *, __u32, __u32) = (void *)BPF_FUNC_skb_load_bytes_relative;
static long (*const store)(void *, __u32, const void *, __u32, __u64) = (void *)BPF_FUNC_skb_store_bytes;
static long (*const grow)(void *, __u32, __u64) = (void *)BPF_FUNC_skb_change_head;
static long (*const shrink)(void *, __s32, __u32, __u64) = (void *)BPF_FUNC_skb_adjust_room;
static long (*const tag)(void *, __be16, __u16) = (void *)BPF_FUNC_skb_vlan_push;
static long (*const untag)(void *) = (void *)BPF_FUNC_skb_vlan_pop;
static long (*const redirect)(__u32, __u64) = (void *)BPF_FUNC_redirect;
static __u64 (*const clock)(void) = (void *)BPF_FUNC_ktime_get_coarse_ns;

enum { ETHERIP = 97, NO_NEXT_HEADER = 59, SHIM = 2, V4 = 20, V6 = 40, SYN = 2 };
/* CS6 (RFC 2474) without ECN; ICMPv6 from router solicitation to redirect (RFC 4861). */
enum { CONTROL = 0xc0, DSCP = 0xfc, FIRST_OF_DISCOVERY = 133, LAST_OF_DISCOVERY = 137 };
/* None of the process's from here on (FIRST_OF_OTHERS in the core's tunnel/identification.rs). */
enum { FIRST_NUMBER = 0xe000 };

struct send {
    __u32 line;
    __u32 limit; /* the longest frame that fits */
    __u32 ipv6;
    __u32 number; /* IPv4's identification */
    __u8 head[ETH_HLEN + V6 + SHIM]; /* length, identification and checksum not filled in */
};

struct ends {
    __u32 line;
    __u8 remote[16], local[16]; /* IPv4: the first four bytes */
};

struct receive {
    __u32 number;
    __u32 limit; /* the longest frame that the device takes */
};

/* What `hear` has found of the packet that `pop` sees next. */
struct found {
    __u32 line;
    __u32 number; /* and one; zero: the process hears it */
};

struct counts {
    __u64 sent, sent_bytes, received, received_bytes, refused;
    __u64 last; /* when something was received last */
};

/* Whether the process does. */
INLINE int living(void) {
    __u32 only = 0;
    __u64 *until = lookup(UNTIL, &only);
    return until && clock() < *until;
}

/* The length of the headers in front of what TCP carries, the frame's own with them; 0: a frame that is not
 * for this way; -1: another than TCP. `at` counts from `from`. */
INLINE int plain(struct __sk_buff *skb, __u32 at, __u32 from) {
    __be16 type;
    __u8 protocol, head[2], flags[2], kind;
    if (load(skb, at + 12, &type, 2, from)) return 0;
    __u32 ip = at + ETH_HLEN, len;
    if (type == NET16(ETH_P_IP)) {
        __be16 fragment;
        if (load(skb, ip, head, 2, from) || head[0] != 0x45 || (head[1] & DSCP) == CONTROL) return 0;
        if (load(skb, ip + 6, &fragment, 2, from) || load(skb, ip + 9, &protocol, 1, from)) return 0;
        if (fragment & NET16(0x3fff)) return protocol == IPPROTO_TCP ? 0 : -1;
        len = V4;
    } else if (type == NET16(ETH_P_IPV6)) {
        if (load(skb, ip, head, 2, from) || load(skb, ip + 6, &protocol, 1, from)) return 0;
        if (head[0] >> 4 != 6 || (((head[0] << 4 | head[1] >> 4) & DSCP) == CONTROL)) return 0;
        len = V6;
    } else {
        return 0;
    }
    switch (protocol) {
    case IPPROTO_TCP:
        if (load(skb, ip + len + 12, flags, 2, from) || flags[1] & SYN) return 0;
        return ETH_HLEN + len + (flags[0] >> 4) * 4;
    case IPPROTO_UDP:
    case IPPROTO_ICMP: return -1;
    case IPPROTO_ICMPV6:
        if (load(skb, ip + len, &kind, 1, from)) return 0;
        return kind >= FIRST_OF_DISCOVERY && kind <= LAST_OF_DISCOVERY ? 0 : -1;
    /* Extension headers, behind which a SYN may stand, signals, and all that is rare. */
    default: return 0;
    }
}

INLINE void count(struct counts *counts, int sent, __u32 bytes) {
    if (!counts) return;
    __sync_fetch_and_add(sent ? &counts->sent : &counts->received, 1);
    __sync_fetch_and_add(sent ? &counts->sent_bytes : &counts->received_bytes, bytes);
}

INLINE int refuse(struct counts *counts) {
    if (counts) __sync_fetch_and_add(&counts->refused, 1);
    return TC_ACT_SHOT;
}

/* What the fabric sends by a device. TC_ACT_UNSPEC: programs of others have their turn too. */
PART("leave") int on_leave(struct __sk_buff *skb) {
    __u32 device = skb->ifindex, first = 0;
    __u32 *number = lookup(SLOTS, &device), *pair = lookup(PAIR, &first);
    struct send *send = number ? lookup(SENDS, number) : 0;
    if (!send || !pair || skb->vlan_present || !living()) return TC_ACT_UNSPEC;
    int headers = plain(skb, 0, BPF_HDR_START_MAC);
    if (!headers) return TC_ACT_UNSPEC;
    /* What is yet to be cut into segments is as long as one of them. */
    __u32 len = skb->gso_size ? headers + skb->gso_size : skb->len;
    if ((skb->gso_size && headers < 0) || len > send->limit) return TC_ACT_UNSPEC;
    if (tag(skb, NET16(ETH_P_8021Q), *number + 1)) return TC_ACT_UNSPEC;
    return redirect(*pair, 0);
}

/* What has come into the underlay, segments by now. */
PART("push") int on_push(struct __sk_buff *skb) {
    __u32 which = (skb->vlan_tci & 0xfff) - 1;
    struct send *send = lookup(SENDS, &which);
    struct counts *counts = lookup(COUNTS, &which);
    __u8 head[ETH_HLEN + V6 + SHIM];
    if (!send || !skb->vlan_present || untag(skb)) return refuse(counts);
    __u32 len = skb->len, payload = len + SHIM;
    if (len > send->limit || skb->gso_size) return refuse(counts);
    __builtin_memcpy(head, send->head, sizeof head);
    if (send->ipv6) {
        *(__be16 *)(head + ETH_HLEN + 4) = NET16(payload);
        if (grow(skb, sizeof head, 0) || store(skb, 0, head, sizeof head, 0)) return refuse(counts);
    } else {
        __be16 *ip = (void *)(head + ETH_HLEN);
        __u32 number = __sync_fetch_and_add(&send->number, 1), sum = 0;
        ip[1] = NET16(payload + V4);
        ip[2] = NET16((__u16)(number | FIRST_NUMBER));
        for (int at = 0; at < V4 / 2; at++) sum += ip[at];
        sum = (sum & 0xffff) + (sum >> 16);
        ip[5] = ~(sum + (sum >> 16));
        if (grow(skb, ETH_HLEN + V4 + SHIM, 0) || store(skb, 0, head, ETH_HLEN + V4 + SHIM, 0)) return refuse(counts);
    }
    count(counts, 1, len);
    return redirect(send->line, 0);
}

/* Where an outer packet of `len` bytes belongs that is to go this way; `header`: its IP header's length. Network
 * control is the process's, and so are marks of congestion, which have to be carried in (RFC 6040 4.2). */
INLINE struct receive *wanted(struct __sk_buff *skb, __u32 len, __u32 *header) {
    struct ends ends = {.line = skb->ifindex};
    __be16 shim;
    __u8 class;
    if (skb->pkt_type != 0 /* PACKET_HOST */ || skb->vlan_present) return 0;
    if (skb->protocol == NET16(ETH_P_IPV6)) {
        __u8 ip[V6];
        *header = V6;
        if (load(skb, 0, ip, V6, BPF_HDR_START_NET)) return 0;
        if (ip[0] >> 4 != 6 || ip[6] != ETHERIP || *(__be16 *)(ip + 4) != NET16((__u16)(len - V6))) return 0;
        class = ip[0] << 4 | ip[1] >> 4;
        __builtin_memcpy(ends.remote, ip + 8, 16);
        __builtin_memcpy(ends.local, ip + 24, 16);
    } else if (skb->protocol == NET16(ETH_P_IP)) {
        __be16 ip[V4 / 2];
        __u32 sum = 0;
        *header = V4;
        if (load(skb, 0, ip, V4, BPF_HDR_START_NET)) return 0;
        if (*(__u8 *)ip != 0x45 || ((__u8 *)ip)[9] != ETHERIP || ip[1] != NET16((__u16)len)) return 0;
        if (ip[3] & NET16(0x3fff)) return 0;
        for (int at = 0; at < V4 / 2; at++) sum += ip[at];
        sum = (sum & 0xffff) + (sum >> 16);
        if ((__u16)(sum + (sum >> 16)) != 0xffff) return 0;
        class = ((__u8 *)ip)[1];
        __builtin_memcpy(ends.remote, ip + 6, 4);
        __builtin_memcpy(ends.local, ip + 8, 4);
    } else {
        return 0;
    }
    if ((class & DSCP) == CONTROL || class & 1) return 0;
    /* The kernel takes nothing off a packet that is then shorter than an IPv6 header. */
    if (len < *header + SHIM + ETH_HLEN + V6) return 0;
    if (load(skb, *header, &shim, 2, BPF_HDR_START_NET) || shim != NET16(0x3000)) return 0;
    struct receive *receive = lookup(RECEIVES, &ends);
    if (!receive || len - *header - SHIM > receive->limit) return 0;
    return plain(skb, *header + SHIM, BPF_HDR_START_NET) ? receive : 0;
}

/* A packet that was kept from the process and has not come to `pop`. */
INLINE void miss(__u32 number) {
    __u32 first = 0, second = 1;
    __u64 *until = lookup(UNTIL, &first), *missed = lookup(UNTIL, &second);
    if (until) *until = 0;
    if (missed) __sync_fetch_and_add(missed, 1);
    refuse(lookup(COUNTS, &number));
}

/* What the process hears of a line in place of its filter's choice (`options.rs`, without GENEVE): not network
 * control, which has a socket of its own, and nothing that goes this way.
 *
 * The kernel shows a packet to the sockets first and to the line's programs right after that, on the same
 * processor. The choice is made here alone, once, so that nothing is taken twice or not at all while entries
 * come and go. Another's program in front of `pop` may end a packet's way there: then this one finds the last
 * choice as it was left, and leaves all to the process until that has looked. */
PART("hear") int on_hear(struct __sk_buff *skb) {
    __u32 header, only = 0;
    struct found *found = lookup(FOUND, &only);
    __u8 protocol, class, head[2];
    if (!found) return 0x40000;
    if (found->number) miss(found->number - 1);
    found->number = 0;
    if (skb->pkt_type != 0 || skb->vlan_present) return 0;
    if (skb->protocol == NET16(ETH_P_IP)) {
        if (load(skb, 9, &protocol, 1, BPF_HDR_START_NET)) return 0;
        if (protocol != ETHERIP && protocol != IPPROTO_GRE) return 0;
        if (load(skb, 1, &class, 1, BPF_HDR_START_NET) || (class & DSCP) == CONTROL) return 0;
    } else if (skb->protocol == NET16(ETH_P_IPV6)) {
        if (load(skb, 6, &protocol, 1, BPF_HDR_START_NET) || load(skb, 0, head, 2, BPF_HDR_START_NET)) return 0;
        if (((head[0] << 4 | head[1] >> 4) & DSCP) == CONTROL) return 0;
        switch (protocol) {
        case ETHERIP:
        case IPPROTO_GRE:
        case IPPROTO_FRAGMENT:
        case IPPROTO_DSTOPTS:
        case IPPROTO_HOPOPTS:
        case IPPROTO_ROUTING: break;
        default: return 0;
        }
    } else {
        return 0;
    }
    struct receive *receive = skb->gso_size ? 0 : wanted(skb, skb->len, &header);
    if (!receive || !living()) return 0x40000;
    found->line = skb->ifindex;
    found->number = receive->number + 1;
    return 0;
}

/* What comes by a line. */
PART("pop") int on_pop(struct __sk_buff *skb) {
    __u32 only = 0, second = 1, len = skb->len - ETH_HLEN;
    __u8 ethernet[ETH_HLEN];
    struct found *found = lookup(FOUND, &only);
    if (!found || !found->number) return TC_ACT_UNSPEC;
    __u32 number = found->number - 1, line = found->line;
    found->number = 0;
    if (line != skb->ifindex) return TC_ACT_UNSPEC;
    struct counts *counts = lookup(COUNTS, &number);
    __u32 *pair = lookup(PAIR, &second);
    __u32 header = skb->protocol == NET16(ETH_P_IPV6) ? V6 : V4;
    if (!pair || load(skb, header + SHIM, ethernet, ETH_HLEN, BPF_HDR_START_NET)) return refuse(counts);
    __s32 less = header == V6 ? V6 + SHIM + ETH_HLEN : V4 + SHIM + ETH_HLEN;
    if (shrink(skb, -less, BPF_ADJ_ROOM_MAC, 0)) return refuse(counts);
    /* A checksum of the whole packet, as some cards give it, begins behind the frame's header. */
    if (store(skb, 0, ethernet, ETH_HLEN, 0)) return refuse(counts);
    if (tag(skb, NET16(ETH_P_8021Q), number + 1)) return refuse(counts);
    count(counts, 0, len - header - SHIM);
    if (counts) counts->last = clock();
    return redirect(*pair, 0);
}

/* What comes back into the fabric, segments put together by the pair. */
PART("arrive") int on_arrive(struct __sk_buff *skb) {
    __u32 which = (skb->vlan_tci & 0xfff) - 1;
    __u32 *device = lookup(DEVICES, &which);
    if (!device || !*device || !skb->vlan_present || untag(skb)) return refuse(lookup(COUNTS, &which));
    return redirect(*device, BPF_F_INGRESS);
}
