/* Names of programs and of systemd units. */
#include "core/guard/caller_internal.h"

#include <ctype.h>
#include <string.h>

/* The kernel shortens the name in /proc/PID/stat to this length. */
#define COMM_LEN 15

/*
 * Programs whose purpose is to forward connections of others. Most of them listen for
 * TCP connections, which is reason enough to refuse them. This list is for those that
 * do not: tunnels that connect outwards, and programs that are started for one
 * connection.
 */
static const char *const carriers[] = {
    /* tunnels and remote logins */
    "ssh",
    "autossh",
    "sshuttle",
    "plink",
    "dbclient",
    "sshfs",
    "mosh-client",
    "telnetd",
    "in.telnetd",
    "teleport",
    "tsh",
    "boundary",
    "cloudflared",
    "ngrok",
    "frpc",
    "frps",
    "rathole",
    "chisel",
    "bore",
    "gost",
    "inlets",
    "inlets-pro",
    "pagekite",
    "lt",
    "localtunnel",
    "tunnelto",
    "playit",
    "zrok",
    "ziti",
    "ziti-edge-tunnel",
    "devtunnel",
    "code-tunnel",
    "wstunnel",
    "gs-netcat",
    "piko",
    "pinggy",
    "portr",
    "loophole",
    "localxpose",
    "loclx",
    "expose",
    "remoteit",
    "connectd",
    "sish",
    "nps",
    "npc",
    "tor",
    "i2pd",
    "nebula",
    "netbird",
    "zerotier-one",
    "wireproxy",
    "wireguard-go",
    "boringtun",
    "twingate",
    "headscale",
    "iodine",
    "dnscat",
    "ptunnel",
    "udp2raw",
    "corkscrew",
    "proxytunnel",
    "httptunnel",
    "hts",
    "htc",
    /* relays of single connections */
    "socat",
    "ncat",
    "nc",
    "netcat",
    "nmap-ncat",
    "websocat",
    "websockify",
    "pwncat",
    "redir",
    "rinetd",
    "simpleproxy",
    "6tunnel",
    "tcpproxy",
    "balance",
    "pen",
    "inetd",
    "xinetd",
    "tcpserver",
    "tcpsvd",
    "s6-tcpserver",
    "ipsvd",
    "faucet",
    "gotty",
    "ttyd",
    "systemd-socket-proxyd",
    "systemd-socket-activate",
    "docker-proxy",
    "rootlesskit",
    "rootlesskit-docker-proxy",
    "rootlessport",
    "slirp4netns",
    "pasta",
    "passt",
    "gvproxy",
    "vpnkit",
    "kubectl",
    "oc",
    "kubelet",
    "conmon",
    "stunnel",
    "stunnel4",
    "ghostunnel",
    "hitch",
    "openssl",
    "gnutls-cli",
    "gnutls-serv",
    "s_server",
    /* proxies and web servers */
    "haproxy",
    "nginx",
    "openresty",
    "angie",
    "caddy",
    "apache2",
    "httpd",
    "lighttpd",
    "traefik",
    "envoy",
    "h2o",
    "nghttpx",
    "pound",
    "varnishd",
    "squid",
    "privoxy",
    "tinyproxy",
    "polipo",
    "microsocks",
    "dante",
    "danted",
    "sockd",
    "3proxy",
    "mitmproxy",
    "mitmdump",
    "mitmweb",
    "goproxy",
    "gobetween",
    "sozu",
    "pingora",
    "trafficserver",
    "traffic_server",
    "uwsgi",
    "litespeed",
    "v2ray",
    "xray",
    "sing-box",
    "trojan",
    "trojan-go",
    "hysteria",
    "ss-local",
    "ss-server",
    "sslocal",
    "ssserver",
    "clash",
    "mihomo",
    "brook",
    "naive",
    "obfs4proxy",
    "lyrebird",
    /* virtual machines, whose network leaves through these programs */
    "qemu-system",
    "qemu-kvm",
    "VBoxHeadless",
    "VirtualBoxVM",
    "vmware-vmx",
    "cloud-hypervisor",
    "crosvm",
    "firecracker",
};
/* clang-format off */
static const char *const logins[] = {
    "sshd", "sshd-session", "sshd-auth", "dropbear", "tailscaled", "mosh-server",
};
/* clang-format on */

/* Names such as "nc.openbsd", "haproxy-2.6" and "qemu-system-x86_64", and names that
 * the kernel has shortened. */
static bool
fits(const char *name, const char *entry)
{
    size_t len = strlen(entry);

    if (strncmp(name, entry, len) == 0)
        return !isalpha((unsigned char)name[len]);
    return len > COMM_LEN && strlen(name) == COMM_LEN &&
           strncmp(name, entry, COMM_LEN) == 0;
}

static bool
fits_one(const char *name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fits(name, list[i]))
            return true;
    return false;
}

bool
p2p_caller_is_login(const char *name)
{
    return fits_one(name, logins, sizeof(logins) / sizeof(logins[0]));
}

bool
p2p_caller_is_carrier(const char *name)
{
    /* These agents only hold keys, and whole desktop sessions run below them. */
    if (strcmp(name, "ssh-agent") == 0 || strcmp(name, "ssh-add") == 0)
        return false;
    return p2p_caller_is_login(name) ||
           fits_one(name, carriers, sizeof(carriers) / sizeof(carriers[0]));
}

static bool
ends_with(const char *at, size_t len, const char *end)
{
    size_t n = strlen(end);

    return len > n && memcmp(at + len - n, end, n) == 0;
}

/* The units of a user's systemd are below its own unit, user@UID.service. */
enum p2p_caller_unit
p2p_caller_unit_kind(const char *cgroup)
{
    enum p2p_caller_unit kind = P2P_CALLER_NO_UNIT;
    bool is_users = false;

    while (*cgroup != '\0') {
        size_t len = strcspn(cgroup, "/");

        if (ends_with(cgroup, len, ".service")) {
            if (strncmp(cgroup, "user@", 5) == 0)
                is_users = true;
            else if (!is_users)
                return P2P_CALLER_SYSTEM_SERVICE;
            else
                kind = P2P_CALLER_USER_SERVICE;
        } else if (ends_with(cgroup, len, ".scope"))
            kind = P2P_CALLER_NO_UNIT;
        cgroup += len + (cgroup[len] == '/');
    }
    return kind;
}
