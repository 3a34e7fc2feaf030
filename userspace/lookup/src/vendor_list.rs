//! Blocks of MAC addresses that are met most where tapline runs, and whose they are; the registry has forty thousand.

/// Blocks that hypervisors, containers and protocols take addresses from; they hold whatever a registry says of them.
pub(crate) const MADE_UP: [(&str, &[&str]); 10] = [
    ("Docker", &["0242"]),
    ("Google Compute Engine", &["4201"]),
    ("Microsoft Hyper-V", &["00155D"]),
    ("multicast, IPv4", &["01005E"]),
    ("multicast, IPv6", &["3333"]),
    ("Parallels", &["001C42"]),
    ("QEMU/KVM", &["525400"]),
    ("VirtualBox", &["080027"]),
    ("VMware", &["000569", "000C29", "001C14", "005056"]),
    ("Xen", &["00163E"]),
];

/// Blocks of makers, for machines that have no registry.
pub(crate) const MAKERS: [(&str, &[&str]); 32] = [
    ("Arista", &["001C73", "28E71D", "3838A6", "540F2C", "68BF6C", "948ED3", "9C69ED", "C06911", "C4CA2B"]),
    ("Broadcom", &["0005B5", "000AF7", "001018", "001BE9", "1423F3", "5C6F69", "8C8474"]),
    ("Brocade", &["000088", "000533", "001BED", "0060DF", "609C9F", "8C7CFF"]),
    ("Chelsio", &["000743"]),
    (
        "Cisco",
        &[
            "00000C", "000A41", "001647", "002255", "0050F0", "00F663", "2834A2", "4C5D3C", "6C29D2",
            "884F59", "B4A4E3", "D47F35",
        ],
    ),
    ("Cisco Meraki", &["00180A", "683A1E", "A8469D", "C414A2"]),
    (
        "Dell",
        &[
            "00065B", "001C23", "04BF1B", "18A99B", "30D042", "509A4C", "747827", "8CEC4B", "AC91A1",
            "C03EBA", "D09466", "E8655F",
        ],
    ),
    ("Extreme Networks", &["000130", "348584", "602D74", "9C5D12", "B85001", "DCB808"]),
    ("F5", &["0001D7", "000A49", "0023E9", "0094A1", "14A9D0", "F41563"]),
    ("Fortinet", &["00090F", "04D590", "483A02", "7818EC", "906CAC", "AC712E"]),
    ("Fujitsu", &["00000E", "2CD444", "60D51B", "A8B2DA"]),
    ("H3C", &["000FE2", "38AD8E", "703D15", "943BB0"]),
    (
        "Hewlett Packard Enterprise",
        &["000B86", "14ABEC", "343A20", "482F6B", "5CED8C", "808DB7", "94B40F", "A8BD27", "C8B5AD", "E4DE40"],
    ),
    ("Huawei", &["001882", "20283E", "3CC03E", "600810", "802EC3", "A031DB", "C0E3FB", "E0AD9B"]),
    ("IBM", &["000255", "00145E", "002503", "40F2E9"]),
    ("Inspur", &["043110", "9CC2C4", "C0A66D"]),
    (
        "Intel",
        &[
            "0002B3", "001B21", "0028F8", "1091D1", "303A64", "3CFDFE", "4851C5", "5CE42A", "70D823",
            "88F4DA", "90E2BA", "A0369F", "A0A8CD", "B49691", "B88198", "D07E35", "E4FD45",
        ],
    ),
    ("Juniper", &["000585", "08B258", "2C4C15", "487310", "742972", "88D98F", "B4F95D", "D8B122"]),
    ("Lenovo", &["0012FE", "503CC4", "88708C", "C8DDC9"]),
    (
        "Mellanox",
        &[
            "0002C9", "08C0EB", "1C34DA", "248A07", "506B4B", "7CFE90", "98039B", "A088C2", "B8599F",
            "C470BD", "EC0D9A",
        ],
    ),
    ("MikroTik", &["000C42", "2CC81B", "4C5E0C", "744D28", "C4AD34"]),
    ("Myricom", &["0060DD"]),
    ("NetApp", &["0080E5", "00A098", "00A0B8", "D039EA"]),
    ("Nokia", &["003126", "4C62CD", "A0C98B"]),
    ("Palo Alto Networks", &["001B17", "3CFA30", "7CC025", "CC38D0"]),
    ("Quanta", &["001636", "00C09F", "60EB69", "C01850"]),
    ("Raspberry Pi", &["28CDC1", "2CCF67", "3A3541", "B827EB", "D83ADD", "DCA632", "E45F01"]),
    ("Solarflare", &["000A68", "000F53"]),
    ("Supermicro", &["002590", "003048", "0CC47A", "3CECEF", "7CC255", "905A08", "AC1F6B"]),
    ("Synology", &["001132", "9009D0"]),
    ("Ubiquiti", &["00156D", "1C6A1B", "602232", "74ACB9", "942A6F", "D8B370"]),
    ("ZTE", &["0015EB", "5484DC", "B0B194"]),
];
