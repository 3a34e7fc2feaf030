/**
 * Eight questions to begin with, over what the sources carry: flows where exports come, packets where an interface is
 * read.
 */

/** @typedef {{ title: string, about: string, sql: string }} Question */

/** @type {Question[]} */
const OF_FLOWS = [
  {
    title: "Who sends most?",
    about: "The ten sources with most octets.",
    sql: "SELECT src_ip, sum(scaled_octets) AS octets\nFROM flows\nGROUP BY src_ip, tumble('10 seconds')\nORDER BY octets DESC\nLIMIT 10",
  },
  {
    title: "How much is there?",
    about: "Octets of all flows, window by window.",
    sql: "SELECT sum(scaled_octets) AS octets\nFROM flows\nGROUP BY tumble('10 seconds')",
  },
  {
    title: "Which services?",
    about: "Octets by the lower port of each flow.",
    sql: "SELECT service(protocol, least(src_port, dst_port)) AS service, sum(scaled_octets) AS octets\nFROM flows\nWHERE protocol IN (6, 17)\nGROUP BY service(protocol, least(src_port, dst_port)), tumble('10 seconds')\nORDER BY octets DESC\nLIMIT 20",
  },
  {
    title: "From where to where?",
    about: "The traffic matrix of autonomous systems.",
    sql: "SELECT src_as, dst_as, sum(scaled_octets) AS octets\nFROM flows\nGROUP BY src_as, dst_as, tumble('10 seconds')\nORDER BY octets DESC\nLIMIT 200",
  },
  {
    title: "Who talks to whom?",
    about: "Pairs of hosts with most octets.",
    sql: "SELECT src_ip, dst_ip, sum(scaled_octets) AS octets\nFROM flows\nGROUP BY src_ip, dst_ip, tumble('10 seconds')\nORDER BY octets DESC\nLIMIT 50",
  },
  {
    title: "Who scans?",
    about: "Sources of many one-packet flows.",
    sql: "SELECT src_ip, approx_distinct(dst_ip) AS destinations, count(*) AS flows\nFROM flows\nWHERE packets = 1\nGROUP BY src_ip, tumble('10 seconds')\nORDER BY destinations DESC\nLIMIT 20",
  },
  {
    title: "Which routers report?",
    about: "Records of each exporter.",
    sql: "SELECT exporter, count(*) AS records, sum(scaled_octets) AS octets\nFROM flows\nGROUP BY exporter, tumble('10 seconds')\nORDER BY records DESC",
  },
  {
    title: "What was lost?",
    about: "What did not arrive, by exporter.",
    sql: "SELECT source, exporter, sum(offered) AS offered, sum(undecodable + dropped + lost) AS missing\nFROM ledger\nWHERE query_name IS NULL\nGROUP BY source, exporter, tumble('10 seconds')\nORDER BY missing DESC",
  },
];

/** @type {Question[]} */
const OF_PACKETS = [
  {
    title: "Who sends most?",
    about: "The ten sources with most octets.",
    sql: "SELECT src_ip, sum(octets) AS octets\nFROM packets\nGROUP BY src_ip, tumble('5 seconds')\nORDER BY octets DESC\nLIMIT 10",
  },
  {
    title: "How much is there?",
    about: "Octets of all packets, second by second.",
    sql: "SELECT sum(octets) AS octets, count(*) AS packets\nFROM packets\nGROUP BY tumble('1 second')",
  },
  {
    title: "Which services?",
    about: "Octets by the lower port of each packet.",
    sql: "SELECT service(protocol, least(src_port, dst_port)) AS service, sum(octets) AS octets\nFROM packets\nWHERE protocol IN (6, 17)\nGROUP BY service(protocol, least(src_port, dst_port)), tumble('5 seconds')\nORDER BY octets DESC\nLIMIT 20",
  },
  {
    title: "Which protocols?",
    about: "TCP, UDP, ICMP and the rest.",
    sql: "SELECT protocol_name(protocol) AS protocol, count(*) AS packets\nFROM packets\nGROUP BY protocol_name(protocol), tumble('5 seconds')\nORDER BY packets DESC",
  },
  {
    title: "Who talks to whom?",
    about: "Pairs of hosts with most octets.",
    sql: "SELECT src_ip, dst_ip, sum(octets) AS octets\nFROM packets\nGROUP BY src_ip, dst_ip, tumble('5 seconds')\nORDER BY octets DESC\nLIMIT 50",
  },
  {
    title: "Who scans?",
    about: "Sources of SYNs to many destinations.",
    sql: "SELECT src_ip, approx_distinct(dst_ip) AS destinations, count(*) AS packets\nFROM packets\nWHERE protocol = 6 AND tcp_flags & 18 = 2\nGROUP BY src_ip, tumble('10 seconds')\nORDER BY destinations DESC\nLIMIT 20",
  },
  {
    title: "How large are packets?",
    about: "Frames by their size.",
    sql: "SELECT CASE WHEN frame_octets <= 128 THEN '1: to 128' WHEN frame_octets <= 512 THEN '2: to 512' WHEN frame_octets <= 1024 THEN '3: to 1024' ELSE '4: beyond' END AS size, count(*) AS packets\nFROM packets\nGROUP BY size, tumble('5 seconds')",
  },
  {
    title: "What was lost?",
    about: "What was not seen, by source.",
    sql: "SELECT source, sum(offered) AS offered, sum(undecodable + dropped + lost) AS missing\nFROM ledger\nWHERE query_name IS NULL\nGROUP BY source, tumble('5 seconds')\nORDER BY missing DESC",
  },
];

/** @param {{ kind: string }[]} sources */
export const questionsFor = (sources) =>
  sources.some((source) => source.kind === "flow exports") || sources.length === 0 ? OF_FLOWS : OF_PACKETS;
