"""What Norrland Furniture makes, buys and sells, and to whom. Amounts are in SEK."""

from __future__ import annotations

import datetime

# The day the demonstration takes place on: a Monday.
DEMO_DAY = datetime.date(2026, 3, 9)

COMPANIES = [
    ("NF-SE", "Norrland Furniture AB", "SEK"),
    ("NF-FI", "Norrland Huonekalu Oy", "EUR"),
]

# username, first name, last name, title, groups
USERS = [
    ("anna", "Anna", "Lindqvist", "Sales", ["Sales"]),
    ("bo", "Bo", "Hedman", "Warehouse", ["Warehouse"]),
    ("carla", "Carla", "Nyström", "Head of production and quality", ["Production", "Managers"]),
]
# Anna's colleagues, for a busier company: their usernames are their first names.
SALESPEOPLE = [
    ("Elsa", "Berg"),
    ("Filip", "Dahl"),
    ("Gerda", "Ek"),
    ("Henrik", "Forsell"),
    ("Ingrid", "Gran"),
    ("Johan", "Hult"),
    ("Karin", "Isaksson"),
    ("Lars", "Kvist"),
    ("Maja", "Lind"),
    ("Nils", "Moberg"),
    ("Olga", "Norén"),
    ("Pontus", "Rask"),
]
PASSWORD = "granskog-{username}-7"
TOKEN = "norrland-{username}-demo-token"

WAREHOUSES = [
    ("UME", "Umeå main store", "NF-SE", True),
    ("LUL", "Luleå yard", "NF-SE", False),
    ("OUL", "Oulu store", "NF-FI", True),
]

# code, name, kind, list price, cost, sellable
PRODUCTS = [
    # Tables
    ("TBL-FJALL", "Fjäll dining table, oak", "manufactured", "8490.00", "3720.00", True),
    ("TBL-FJORD", "Fjord dining table, birch", "manufactured", "6990.00", "2980.00", True),
    ("TBL-MYREN", "Myren coffee table", "manufactured", "2790.00", "1160.00", True),
    ("TBL-SKARET", "Skäret desk", "manufactured", "4590.00", "1980.00", True),
    # Seating
    ("CHR-ASPEN", "Aspen chair", "manufactured", "1890.00", "760.00", True),
    ("CHR-TUVA", "Tuva armchair, wool", "manufactured", "5290.00", "2410.00", True),
    ("STL-KVIST", "Kvist bar stool", "manufactured", "1490.00", "610.00", True),
    ("BNC-LADA", "Lada bench, pine", "manufactured", "2190.00", "880.00", True),
    # Storage and beds
    ("SHF-ISAK", "Isak bookcase", "manufactured", "3290.00", "1420.00", True),
    ("SHF-ELLE", "Elle wall shelf", "manufactured", "690.00", "240.00", True),
    ("CAB-VINTER", "Vinter glass cabinet", "manufactured", "9890.00", "4350.00", True),
    ("CAB-HAGE", "Hage sideboard", "manufactured", "7490.00", "3280.00", True),
    ("BED-RIPA", "Ripa bed frame 160", "manufactured", "6290.00", "2690.00", True),
    ("BED-ORRE", "Orre bed frame 90", "manufactured", "3990.00", "1710.00", True),
    # Assemblies
    ("ASM-TOP-OAK", "Table top 180, oak", "manufactured", "0.00", "1840.00", False),
    ("ASM-TOP-BIRCH", "Table top 180, birch", "manufactured", "0.00", "1320.00", False),
    ("ASM-LEG-OAK", "Leg 72, oak", "manufactured", "0.00", "210.00", False),
    ("ASM-LEG-BIRCH", "Leg 72, birch", "manufactured", "0.00", "150.00", False),
    ("ASM-SEAT", "Chair seat, ash", "manufactured", "0.00", "290.00", False),
    ("ASM-FRAME-BED", "Bed side frame", "manufactured", "0.00", "640.00", False),
    ("ASM-DOOR-GLASS", "Cabinet door, glass", "manufactured", "0.00", "720.00", False),
    # Under development
    ("PRO-LOOM", "Loom screen, prototype", "manufactured", "0.00", "0.00", False),
    ("PRO-LOOM-HINGE", "Loom hinge set, prototype", "manufactured", "0.00", "0.00", False),
    # Bought
    ("BRD-OAK", "Oak board 2 m", "purchased", "0.00", "186.00", False),
    ("BRD-BIRCH", "Birch board 2 m", "purchased", "0.00", "121.50", False),
    ("BRD-PINE", "Pine board 2 m", "purchased", "0.00", "64.00", False),
    ("VNR-ASH", "Ash veneer sheet", "purchased", "0.00", "88.00", False),
    ("LAC-MATT", "Matt lacquer, dl", "purchased", "0.00", "42.50", False),
    ("OIL-LINSEED", "Linseed oil, dl", "purchased", "0.00", "31.00", False),
    ("SCR-M6", "Screw M6×60", "purchased", "0.00", "0.85", False),
    ("DOW-8", "Dowel 8 mm", "purchased", "0.00", "0.40", False),
    ("GLU-D3", "Wood glue D3, dl", "purchased", "0.00", "18.90", False),
    ("FAB-WOOL", "Wool fabric, m", "purchased", "0.00", "268.00", False),
    ("FOAM-35", "Foam block 35", "purchased", "0.00", "74.00", False),
    ("HNG-BRASS", "Brass hinge", "purchased", "0.00", "36.50", False),
    ("GLS-4MM", "Glass pane 4 mm", "purchased", "0.00", "142.00", False),
    ("PKG-LARGE", "Carton, large", "purchased", "0.00", "22.00", False),
    ("ACC-OILKIT", "Oil and cloth care kit", "purchased", "249.00", "96.00", True),
    ("ACC-FELT", "Felt pads, set of 16", "purchased", "59.00", "12.00", True),
    # Services
    ("SRV-DELIVERY", "Delivery to the room", "service", "890.00", "0.00", True),
    ("SRV-ASSEMBLY", "Assembly on site", "service", "1290.00", "650.00", True),
]

# code, name, hours per day
WORK_CENTERS = [
    ("SAW", "Saw line", "8.0"),
    ("CNC", "CNC mill", "16.0"),
    ("LAC", "Lacquer booth", "8.0"),
    ("ASM", "Assembly", "24.0"),
    ("UPH", "Upholstery", "8.0"),
]

# product: (work center, hours per piece, parts)
BOMS = {
    "TBL-FJALL": ("ASM", "1.50", {"ASM-TOP-OAK": 1, "ASM-LEG-OAK": 4, "SCR-M6": 16, "PKG-LARGE": 2}),
    "TBL-FJORD": ("ASM", "1.50", {"ASM-TOP-BIRCH": 1, "ASM-LEG-BIRCH": 4, "SCR-M6": 16, "PKG-LARGE": 2}),
    "TBL-MYREN": ("ASM", "0.75", {"BRD-BIRCH": 3, "ASM-LEG-BIRCH": 4, "SCR-M6": 8, "PKG-LARGE": 1}),
    "TBL-SKARET": ("ASM", "1.00", {"BRD-BIRCH": 5, "ASM-LEG-BIRCH": 4, "SCR-M6": 12, "PKG-LARGE": 1}),
    "CHR-ASPEN": ("ASM", "0.50", {"ASM-SEAT": 1, "BRD-BIRCH": 1, "DOW-8": 12, "GLU-D3": 1}),
    "CHR-TUVA": ("UPH", "3.00", {"BRD-BIRCH": 2, "FAB-WOOL": 3, "FOAM-35": 2, "SCR-M6": 10}),
    "STL-KVIST": ("ASM", "0.50", {"ASM-SEAT": 1, "BRD-PINE": 2, "DOW-8": 8}),
    "BNC-LADA": ("ASM", "0.75", {"BRD-PINE": 5, "DOW-8": 16, "OIL-LINSEED": 2}),
    "SHF-ISAK": ("ASM", "1.00", {"BRD-PINE": 9, "DOW-8": 32, "OIL-LINSEED": 3, "PKG-LARGE": 1}),
    "SHF-ELLE": ("SAW", "0.25", {"BRD-PINE": 1, "OIL-LINSEED": 1}),
    "CAB-VINTER": ("ASM", "3.00", {"ASM-DOOR-GLASS": 2, "BRD-OAK": 8, "DOW-8": 24, "PKG-LARGE": 2}),
    "CAB-HAGE": ("ASM", "2.50", {"BRD-OAK": 9, "HNG-BRASS": 6, "DOW-8": 24, "LAC-MATT": 4, "PKG-LARGE": 1}),
    "BED-RIPA": ("ASM", "1.25", {"ASM-FRAME-BED": 2, "BRD-PINE": 12, "SCR-M6": 20}),
    "BED-ORRE": ("ASM", "1.00", {"ASM-FRAME-BED": 2, "BRD-PINE": 7, "SCR-M6": 16}),
    "ASM-TOP-OAK": ("LAC", "1.00", {"BRD-OAK": 6, "GLU-D3": 2, "LAC-MATT": 5}),
    "ASM-TOP-BIRCH": ("LAC", "1.00", {"BRD-BIRCH": 6, "GLU-D3": 2, "LAC-MATT": 5}),
    "ASM-LEG-OAK": ("CNC", "0.25", {"BRD-OAK": 1}),
    "ASM-LEG-BIRCH": ("CNC", "0.25", {"BRD-BIRCH": 1}),
    "ASM-SEAT": ("CNC", "0.25", {"VNR-ASH": 2, "GLU-D3": 1}),
    "ASM-FRAME-BED": ("SAW", "0.50", {"BRD-PINE": 4, "GLU-D3": 1, "OIL-LINSEED": 2}),
    "ASM-DOOR-GLASS": ("ASM", "0.75", {"GLS-4MM": 1, "BRD-OAK": 1, "HNG-BRASS": 2}),
    # The drawing office has yet to settle which of the two carries the other.
    "PRO-LOOM": ("ASM", "2.00", {"PRO-LOOM-HINGE": 3, "BRD-OAK": 4}),
    "PRO-LOOM-HINGE": ("CNC", "0.50", {"HNG-BRASS": 2, "PRO-LOOM": 1}),
}

# product: pieces on hand in the main store; what is not here gets a number from the seed
STOCK = {
    "TBL-FJALL": 12,
    "CHR-ASPEN": 90,
    "CHR-TUVA": 6,
    "CAB-VINTER": 2,
    "STL-KVIST": 40,
    "SHF-ELLE": 60,
    "ASM-TOP-OAK": 20,
    "ASM-LEG-OAK": 90,
    "ASM-SEAT": 80,
    "ASM-FRAME-BED": 4,
    "BRD-OAK": 60,
    "BRD-BIRCH": 240,
    "VNR-ASH": 8,
    "FAB-WOOL": 10,
    "HNG-BRASS": 6,
    "SCR-M6": 4000,
    "DOW-8": 6000,
    "GLU-D3": 160,
    "PKG-LARGE": 120,
}

# code, name, list, discount
PRICE_LISTS = [("RETAIL", "Retailers", "12.00"), ("CONTRACT", "Contract customers", "18.00")]
# price list, product, from, price
PRICE_BREAKS = [
    ("RETAIL", "CHR-ASPEN", 10, "1590.00"),
    ("RETAIL", "CHR-ASPEN", 40, "1450.00"),
    ("RETAIL", "TBL-FJALL", 5, "7190.00"),
    ("CONTRACT", "CHR-ASPEN", 20, "1390.00"),
    ("CONTRACT", "STL-KVIST", 20, "1090.00"),
    ("CONTRACT", "CHR-TUVA", 4, "4190.00"),
]

# code, name, city, company, status, credit limit, price list
CUSTOMERS = [
    ("C-1001", "Björk Interiör", "Umeå", "NF-SE", "active", "300000", "RETAIL"),
    ("C-1002", "Café Storsjön", "Östersund", "NF-SE", "active", "60000", None),
    ("C-1003", "Hotell Norrsken", "Kiruna", "NF-SE", "active", "500000", "CONTRACT"),
    ("C-1004", "Lundgrens Möbler", "Sundsvall", "NF-SE", "active", "250000", "RETAIL"),
    ("C-1005", "Polstjärnan Förskola", "Luleå", "NF-SE", "active", "80000", "CONTRACT"),
    ("C-1006", "Rönnskär Bostäder", "Skellefteå", "NF-SE", "blocked", "200000", "CONTRACT"),
    ("C-1007", "Skogsbryn Restaurang", "Vilhelmina", "NF-SE", "active", "40000", None),
    ("C-1008", "Torget 7", "Gävle", "NF-SE", "active", "120000", "RETAIL"),
    ("C-1009", "Vindeln Kommun", "Vindeln", "NF-SE", "active", "400000", "CONTRACT"),
    ("C-1010", "Åsa Holm Arkitekter", "Stockholm", "NF-SE", "active", "150000", None),
    ("C-1011", "Älvdalens Hem", "Älvdalen", "NF-SE", "active", "90000", "RETAIL"),
    ("C-1012", "Östbergs Inredning", "Härnösand", "NF-SE", "active", "180000", "RETAIL"),
    ("C-1013", "Byske Camping", "Byske", "NF-SE", "active", "70000", None),
    ("C-1014", "Docksta Vandrarhem", "Docksta", "NF-SE", "active", "50000", None),
    ("C-1015", "Galleri Kallt", "Umeå", "NF-SE", "active", "35000", None),
    ("C-1016", "Holmsunds Trä", "Holmsund", "NF-SE", "active", "110000", "RETAIL"),
    ("C-1017", "Jokkmokks Marknad", "Jokkmokk", "NF-SE", "active", "45000", None),
    ("C-1018", "Kvarnen Konferens", "Örnsköldsvik", "NF-SE", "active", "220000", "CONTRACT"),
    ("C-1019", "Lycksele Bibliotek", "Lycksele", "NF-SE", "active", "130000", "CONTRACT"),
    ("C-1020", "Malå Fjällstuga", "Malå", "NF-SE", "active", "55000", None),
    ("C-1021", "Nordmalings Hem", "Nordmaling", "NF-SE", "blocked", "60000", "RETAIL"),
    ("C-1022", "Piteå Havsbad", "Piteå", "NF-SE", "active", "350000", "CONTRACT"),
    ("C-2001", "Kahvila Pohjola", "Oulu", "NF-FI", "active", "20000", None),
    ("C-2002", "Sisustus Lumi", "Rovaniemi", "NF-FI", "active", "30000", "RETAIL"),
    ("C-2003", "Hotelli Tunturi", "Levi", "NF-FI", "active", "60000", "CONTRACT"),
]

# code, name, calibrated until
GAUGES = [
    ("CAL-300", "Caliper 300 mm", datetime.date(2026, 11, 30)),
    ("TAPE-5", "Tape measure 5 m", datetime.date(2026, 6, 30)),
    ("MOI-2", "Moisture meter", datetime.date(2026, 2, 28)),
]

# product, name, unit, nominal, tolerance
CHARACTERISTICS = [
    ("TBL-FJALL", "length", "mm", "1800.00", "1.50"),
    ("TBL-FJALL", "width", "mm", "900.00", "1.00"),
    ("TBL-FJALL", "moisture", "%", "8.00", "1.50"),
    ("CHR-ASPEN", "seat height", "mm", "450.00", "2.00"),
    ("CHR-ASPEN", "wobble", "mm", "0.00", "0.50"),
    ("CHR-TUVA", "seat height", "mm", "420.00", "4.00"),
]

# product, pieces, due in days
WORK_ORDERS = [
    ("TBL-FJALL", 6, 10),
    ("CHR-ASPEN", 40, 12),
    ("CHR-TUVA", 3, 14),
    ("ASM-FRAME-BED", 8, 7),
    ("BED-RIPA", 4, 18),
    ("ASM-LEG-OAK", 40, 9),
    ("ASM-TOP-OAK", 6, 9),
    ("STL-KVIST", 24, 21),
]
