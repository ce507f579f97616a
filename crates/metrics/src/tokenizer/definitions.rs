//! Names for the parts that the Penn Treebank tokenizer's rules are made of.
//!
//! Here: characters, numbers, words, abbreviations, things with inner punctuation. Not here: the rules (`rules.rs`,
//! which explains the notation).

/// Names that rules and later definitions use.
pub(super) const DEFINITIONS: &[(&str, &str)] = &[
    ("SPACE", r"[ \t\u{A0}\u{2000}-\u{200A}\u{3000}]"),
    ("NEWLINE", r"(?:\r\n|[\r\n\u{2028}\u{2029}\x0B\x0C\u{85}])"),
    ("SPACENL", r"(?:{SPACE}|{NEWLINE})"),
    ("SGMLNAME", r"[A-Za-z][A-Za-z0-9_:.\-]*"),
    (
        "SGML",
        r"<(?:[!?][A-Za-z\-][^>\r\n]*|/{SGMLNAME} *|{SGMLNAME}(?: +(?:{SGMLNAME}(?: *= *(?:'[^']*'|\x22[^\x22]*\x22))?)?)* */? *)>",
    ),
    (
        "UPPER",
        r"[\p{Lu}&&\p{Age:6.1}&&[\x00-\u{FFFF}]]|[\u{2160}-\u{216F}\u{24B6}-\u{24CF}]",
    ),
    ("SENTEND", r"{SPACENL}(?:{SPACENL}|{UPPER}|{SGML})"),
    // Numbers.
    ("DIGIT", r"[\p{Nd}&&\p{Age:6.1}&&[\x00-\u{FFFF}]]"),
    (
        "NUM",
        r"(?:{DIGIT}+|{DIGIT}*(?:[.:,\u{AD}\u{66B}\u{66C}]{DIGIT}+)+)",
    ),
    ("DATE", r"{DIGIT}{1,2}[\-/]{DIGIT}{1,2}[\-/]{DIGIT}{2,4}"),
    (
        "FRACTION",
        r"(?:{DIGIT}{1,4}[\- \u{A0}])?{DIGIT}{1,4}(?:\\?/|\u{2044}){DIGIT}{1,4}",
    ),
    (
        "PHONE",
        r"(?:\([0-9]{2,3}\)[ \u{A0}]?|(?:\+\+?)?(?:[0-9]{2,4}[\- \u{A0}])?[0-9]{2,4}[\- \u{A0}])[0-9]{3,4}[\- \u{A0}]?[0-9]{3,5}|(?:(?:\+\+?)?[0-9]{2,4}\.)?[0-9]{2,4}\.[0-9]{3,4}\.[0-9]{3,5}",
    ),
    // Words.
    ("SPLET", r#"&[aeiouAEIOU](?:"acute"|"grave"|"uml");"#),
    (
        "ALPHA",
        r"[[[\p{L}&&\p{Age:6.1}&&[\x00-\u{FFFF}]]\u{1885}\u{1886}]--[\u{19B0}-\u{19C0}\u{19C8}\u{19C9}\u{1CF2}\u{1CF3}]]",
    ),
    ("ALNUM", r"(?:{ALPHA}|{DIGIT})"),
    // Marks that combine with letters, of the scripts that the program knows.
    (
        "MARK",
        r"[\u{2C2}-\u{2C5}\u{2D2}-\u{2DF}\u{2E5}-\u{2EB}\u{2ED}\u{2EF}-\u{36F}\u{375}\u{378}-\u{379}\u{384}-\u{385}\u{3F6}\u{483}-\u{487}\u{55A}-\u{55F}\u{591}-\u{5BD}\u{5BF}\u{5C1}-\u{5C2}\u{5C4}-\u{5C5}\u{5C7}\u{615}-\u{61A}\u{64B}-\u{65E}\u{670}\u{6D6}-\u{6E4}\u{6E7}-\u{6ED}\u{6FD}-\u{6FE}\u{70F}\u{711}\u{730}-\u{74C}\u{7A6}-\u{7B0}\u{7EB}-\u{7F3}\u{900}-\u{903}\u{93C}\u{93E}-\u{94E}\u{951}-\u{955}\u{962}-\u{963}\u{981}-\u{983}\u{9BC}\u{9BE}-\u{9C4}\u{9C7}-\u{9C8}\u{9CB}-\u{9CD}\u{9D7}\u{9E2}-\u{9E3}\u{A01}-\u{A03}\u{A3C}\u{A3E}-\u{A4F}\u{A81}-\u{A83}\u{ABC}\u{ABE}-\u{ACF}\u{B82}\u{BBE}-\u{BC2}\u{BC6}-\u{BC8}\u{BCA}-\u{BCD}\u{C01}-\u{C03}\u{C3E}-\u{C56}\u{D3E}-\u{D44}\u{D46}-\u{D48}\u{E31}\u{E34}-\u{E3A}\u{E47}-\u{E4E}\u{EB1}\u{EB4}-\u{EBC}\u{EC8}-\u{ECD}]",
    ),
    ("LETTER", r"(?:{SPLET}|{ALPHA}|\u{AD}|{MARK})"),
    (
        "WORD",
        r"(?:{LETTER}(?:{LETTER}|{DIGIT})*(?:[.!?]{LETTER}(?:{LETTER}|{DIGIT})*)*)",
    ),
    ("APOS", r#"(?:['\u{92}\u{2019}]|"&apos;")"#),
    ("APOSETC", r"(?:{APOS}|[`\u{91}\u{2018}\u{201B}])"),
    ("AUXILIARY", r#"{APOS}(?:[msdMSD]|"re"|"ve"|"ll")"#),
    ("DOUBLEQUOTE", r#"(?:\x22|"&quot;")"#),
    ("AMP", r#"(?:&|"&amp;")"#),
    ("HYPHEN", r"[\-_\u{58A}\u{2010}\u{2011}]"),
    ("INSENTENCE", r"[,;:\u{3001}]"),
    // Abbreviations.
    (
        "ABMONTH",
        r#"(?:"jan"|"feb"|"mar"|"apr"|"jun"|"jul"|"aug"|"sep"|"sept"|"oct"|"nov"|"dec")"#,
    ),
    (
        "ABDAY",
        r#"(?:"mon"|"tue"|"tues"|"wed"|"thu"|"thurs"|"fri")"#,
    ),
    (
        "ABSTATE",
        r#"(?:"ala"|"ariz"|[A]"z"|[A]"rk"|"calif"|"colo"|"conn"|"ct"|"dak"|[D]"el"|"fla"|"ga"|[I]"ll"|"ind"|"kan"|"kans"|"ky"|[L]"a"|[M]"ass"|"md"|"mich"|"minn"|[M]"iss"|"mo"|"mont"|"neb"|"nev"|"okla"|[O]"re"|[P]"a"|"penn"|"tenn"|[T]"ex"|"va"|"vt"|[W]"ash"|"wis"|"wisc"|"wyo")"#,
    ),
    (
        "ABCOMPANY",
        r#"(?:"inc"|"co"|"cos"|"corp"|"p""p"?"t"[ye]"s"?|"ltd"|"plc"|"rt"|"bancorp"|"bhd"|"assn"|"univ"|"intl"|"sys")"#,
    ),
    (
        "ABPOSTNOMINAL",
        r#"(?:"jr"|"sr"|"bros"|(?:"ed"|"ph")\."d"|"blvd"|"rd"|"esq")"#,
    ),
    (
        "ABENDING",
        r#"(?:{ABMONTH}|{ABDAY}|{ABSTATE}|{ABCOMPANY}|{ABPOSTNOMINAL}|"tel"|"est"|"ext"|"sq"|"bldg"|"etc"|"al"|"seq")"#,
    ),
    (
        "ABTITLE",
        r#"(?:"mr"|"mrs"|"ms"|[M]"iss"|"dr""s"?|"prof""s"?|"sen""s"?|"rep""s"?|"atty""s"?|"lt"|"col"|"gen"|"messrs"|"gov""s"?|"adm"|"rev"|"maj"|"sgt"|"cpl"|"pvt"|"capt"|"st""e"?|"ave"|"pres"|"lieut"|"hon"|"brig"|"c""o"?"mdr"|"pfc"|"spc"|"supt""s"?|"det"|"mt"|"ft"|"adj"|"adv"|"asst"|"assoc"|"ens"|"insp"|"mlle"|"mme"|"msgr"|"sfc"|"invt"|"elec"|"natl"|"m"[ft]"g"|"dept"|"vs"|"alex"|"wm"|"jos"|"cie"|"cf"|"a\.k\.a"|"treas"|"ph")"#,
    ),
    (
        "ABNUMBER",
        r#"(?:"ca"|"fig""s"?|"prop"|"no""s"?|"art"|"bldg"|"pp"|"op")"#,
    ),
    (
        "ACRONYMS",
        r#"(?:"canada"|"sino"|"korean"|"eu"|"japan"|"non")-"u\.s"|"u\.s\.-"(?:"u\.k"|"u\.s\.s\.r")"#,
    ),
    ("LONGACRONYM", r"(?:[A-Za-z](?:\.[A-Za-z])+|{ACRONYMS})"),
    ("ACRONYM", r"(?:[A-Za-z](?:\.[A-Za-z])*|{ACRONYMS})"),
    // Words that begin a sentence more often than they follow an abbreviation within one.
    (
        "STARTER",
        r#"(?:A(?:"bout"|"ccording"|"dditionally"|"fter"|"n"|"s"|"t")?|B"ut"|E"arlier"|H(?:"e"|"er"|"ere"|"owever")|I[FfNnTt]|L"ast"|M(?:"any"|"ore"|"r"\.|"s"\.)|N"ow"|O(?:"nce"|"ne"|"ther"|"ur")|S(?:"he"|"ince"|"o"|"ome"|"uch")|T(?:"hat"|"he"|"heir"|"hen"|"here"|"hese"|"hey"|"his")|W(?:"e"|"hat"|"hen"|"hile")|Y(?:"et"|"ou")|{SGML})"#,
    ),
    // Things with inner punctuation.
    (
        "FILENAMEEXT",
        r#"(?:"bat"|"bmp"|"c"|"class"|"cgi"|"cpp"|"dll"|"doc"|"docx"|"exe"|"gif"|"gz"|"h"|"htm"|"html"|"jar"|"java"|"jpeg"|"jpg"|"mov"|"mp3"|"pdf"|"php"|"pl"|"png"|"ppt"|"ps"|"py"|"sql"|"tar"|"txt"|"wav"|"x"|"xml"|"zip")"#,
    ),
    (
        "FILENAME",
        r"(?:{LETTER}|{DIGIT})+(?:\.(?:{LETTER}|{DIGIT})+)*\.{FILENAMEEXT}",
    ),
    ("ELISION", r"(?:[dDoOlL]{APOSETC}{ALNUM})"),
    (
        "THING",
        r"{ELISION}?{ALNUM}+(?:{HYPHEN}{ELISION}?{ALNUM}+)*",
    ),
    (
        "APOSTROPHED",
        r"(?:[A-HJ-XZn]{APOSETC}{ALPHA}{2,}|{ALPHA}+[aeiouyAEIOUY]{APOSETC}[aeiouA-Z]{ALPHA}*)",
    ),
    (
        "SYMBOL",
        r"[\u{25}\u{A1}\u{A6}-\u{A9}\u{AC}\u{AE}-\u{B1}\u{B4}\u{B6}-\u{B8}\u{BF}\u{D7}\u{F7}\u{37E}\u{387}\u{589}\u{5BE}\u{5C0}\u{5C3}\u{5C6}\u{5F3}-\u{5F4}\u{600}-\u{603}\u{606}-\u{60A}\u{60C}\u{614}\u{61B}\u{61E}-\u{61F}\u{66A}\u{66D}\u{6D4}\u{700}-\u{70D}\u{7F6}-\u{7F8}\u{964}-\u{965}\u{E4F}\u{1FBD}\u{2016}-\u{2017}\u{2020}-\u{2023}\u{2030}-\u{2038}\u{203B}\u{203E}-\u{2042}\u{207C}-\u{207E}\u{208C}-\u{208E}\u{2100}-\u{2101}\u{2103}-\u{2106}\u{2108}-\u{2109}\u{2114}\u{2116}-\u{2118}\u{211E}-\u{2123}\u{2125}\u{2127}\u{2129}\u{212E}\u{213A}-\u{213B}\u{2140}-\u{2144}\u{214A}-\u{214D}\u{214F}\u{2190}-\u{24B5}\u{24D0}-\u{2BFF}\u{3002}\u{3012}\u{30FB}\u{FF01}-\u{FF0F}\u{FF1A}-\u{FF20}\u{FF3B}-\u{FF40}\u{FF5B}-\u{FF65}]",
    ),
    (
        "HYPHENATED",
        r"[A-Za-z0-9][A-Za-z0-9.,\u{AD}]*(?:-(?:[A-Za-z0-9\u{AD}]+|{LONGACRONYM}\.))+",
    ),
    ("AMPERSANDED", r"[A-Z]+(?:(?:[+&]|{AMP})[A-Z]+)+"),
    (
        "SLASHED",
        r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}(?:\\?/[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}){1,2}",
    ),
    ("URLEND", r"[^ \t\n\x0C\r\x22<>|.!?(){},\-]"),
    (
        "URL",
        r#""http""s"?"://"[^ \t\n\x0C\r\x22<>|(){}]+{URLEND}"#,
    ),
    (
        "LIKELYURL",
        r#"(?:(?:"www\."(?:[^ \t\n\x0C\r\x22<>|().!?,{}]+\.)+[a-zA-Z]{2,4})|(?:(?:[^ \t\n\x0C\r\x22`'<>|(){}.!?,-_$]+\.)+(?:"com"|"net"|"org"|"edu")))(?:/[^ \t\n\x0C\r\x22<>|()]+{URLEND})?"#,
    ),
    (
        "EMAIL",
        r#"(?:"&lt;"|<)?[a-zA-Z0-9][^ \t\n\x0C\r\x22<>|(){}\u{A0}]*@(?:[^ \t\n\x0C\r\x22<>|(){}.\u{A0}]+\.)*[^ \t\n\x0C\r\x22<>|(){}.\u{A0}]+(?:"&gt;"|>)?"#,
    ),
];
