"""Names of places in many languages, to try encodings on; none is in the tables of the code.

The first is the language's code, then the code pages that are tried; the names follow.
"""
# ruff: noqa: E501, RUF001  (letters of other scripts are what this is about, and wide)

from __future__ import annotations

WESTERN = ("cp1252", "iso8859_15", "cp850", "cp437", "mac_roman")
CENTRAL = ("cp1250", "iso8859_2", "cp852", "mac_latin2")
TURKISH = ("cp1254", "iso8859_9", "cp857", "mac_turkish")
BALTIC = ("cp1257", "iso8859_13", "iso8859_4", "cp775")
CYRILLIC = ("cp1251", "koi8_r", "cp866", "iso8859_5", "mac_cyrillic", "cp855")

# language: code pages, names of places
PLACES = {
    "German": (
        WESTERN,
        "Würzburg, Göttingen, Tübingen, Lüneburg, Gütersloh, Düren, Mülheim, Fürth, Nürtingen, "
        "Schwäbisch Hall, Böblingen, Görlitz, Köthen, Mühldorf am Inn, Großenhain, Weißwasser, "
        "Bad Dürkheim, Höxter, Löhne, Bünde, Meißen, Rüsselsheim, Bad Tölz, Kitzbühel, Mödling, "
        "Mürzzuschlag, Vöcklabruck, Wörgl, Völkermarkt, Güssing, Wädenswil, Dübendorf, Köniz, "
        "Hamm, Siegen, Aalen, Passau, Bamberg, Coburg, Speyer, Landau, Worms, Celle, Hameln",
    ),
    "French": (
        WESTERN,
        "Besançon, Nîmes, Orléans, Angoulême, Béziers, Châlons, Évreux, Épinal, Alençon, Mâcon, "
        "Périgueux, Châteauroux, Montélimar, Sélestat, Saint-Dié, Saint-Étienne, Fécamp, Vitré, "
        "Fougères, Mayenne, Chambéry, Thonon, Hyères, Fréjus, Sète, Agde, Lodève, Lézignan, "
        "Pézenas, Céret, Foix, Tarbes, Condom, Brétigny, Étampes, Créteil, Sèvres, Châtillon, "
        "Compiègne, Beauvais, Abbeville, Bapaume, Arras, Douai",
    ),
    "Spanish": (
        WESTERN,
        "Málaga, Cádiz, Jaén, Almería, Cáceres, Ávila, León, Logroño, Castellón, "
        "Alcalá de Henares, Torrejón, Leganés, Alcorcón, Móstoles, Gijón, Avilés, Mieres, "
        "Ponferrada, Béjar, Peñafiel, Coín, Ronda, Écija, Morón, Úbeda, Andújar, Linares, "
        "Alcañiz, Teruel, Calatayud, Cariñena, Jaca, Sabiñánigo, Huesca, Culiacán, "
        "Torreón, Querétaro, Tepic, Colima, Cúcuta, Ibagué",
    ),
    "Portuguese": (
        WESTERN,
        "Évora, Guimarães, Setúbal, Covilhã, Bragança, Viseu, Aveiro, Leiria, Tomar, "
        "Portimão, Olhão, Loulé, Tavira, Silves, Almada, Loures, Odivelas, Famalicão, Penafiel, "
        "Goiânia, Florianópolis, Vitória, Niterói, Petrópolis, Teresópolis, Nilópolis, "
        "Jundiaí, Piracicaba, Maringá, Paranaguá, Chapecó, Criciúma, Joaçaba, Bagé, Uruguaiana, "
        "Itajaí, Ijuí, Poços de Caldas, Uberlândia, Divinópolis, Itaúna, Ubá",
    ),
    "Swedish": (
        WESTERN,
        "Västerås, Örebro, Linköping, Norrköping, Jönköping, Växjö, Gävle, Borås, Eskilstuna, "
        "Södertälje, Östersund, Umeå, Luleå, Skellefteå, Piteå, Kristianstad, Malmö, Göteborg, "
        "Trollhättan, Lidköping, Skövde, Mariestad, Karlskrona, Köping, Arboga, Enköping, "
        "Nyköping, Katrineholm, Hässleholm, Ängelholm, Höganäs, Landskrona, Mjölby, Tranås, "
        "Nässjö, Värnamo, Åmål, Säffle, Mora, Rättvik, Älvdalen, Härnösand, Örnsköldsvik, Kiruna",
    ),
    "Danish": (
        WESTERN,
        "Ålborg, Århus, Køge, Næstved, Helsingør, Hillerød, Frederikshavn, Hjørring, Brønderslev, "
        "Sæby, Skælskør, Korsør, Ringkøbing, Nykøbing, Rødby, Præstø, Stege, Sønderborg, Åbenrå, "
        "Ribe, Grindsted, Ølgod, Skjern, Hornslet, Ebeltoft, Grenå, Hadsten, Hammel, "
        "Ærøskøbing, Fåborg, Middelfart, Bogense, Rudkøbing, Rønne, Allinge, Svaneke, Nexø, "
        "Store Heddinge, Hørsholm, Birkerød, Værløse, Ølstykke, Måløv",
    ),
    "Polish": (
        CENTRAL,
        "Rzeszów, Częstochowa, Gdynia, Toruń, Białystok, Bielsko-Biała, Dąbrowa Górnicza, Zabrze, "
        "Płock, Elbląg, Gorzów, Włocławek, Zielona Góra, Tarnów, Chorzów, Koszalin, Słupsk, "
        "Grudziądz, Jaworzno, Jastrzębie, Nowy Sącz, Siedlce, Mysłowice, Piła, Ostrołęka, Chełm, "
        "Przemyśl, Zamość, Łomża, Ełk, Suwałki, Mrągowo, Kętrzyn, Giżycko, Węgorzewo, Szczytno, "
        "Działdowo, Mława, Ciechanów, Pułtusk, Wyszków, Mińsk Mazowiecki, Żyrardów, Sochaczew",
    ),
    "Czech": (
        CENTRAL,
        "Plzeň, Liberec, Hradec Králové, České Budějovice, Zlín, Kladno, Děčín, "
        "Karviná, Jihlava, Přerov, Prostějov, Třebíč, Třinec, Znojmo, Příbram, Cheb, Trutnov, "
        "Chomutov, Šumperk, Kroměříž, Vsetín, Uherské Hradiště, Břeclav, Hodonín, Litoměřice, "
        "Nový Jičín, Krnov, Strakonice, Písek, Klatovy, Žďár nad Sázavou, Náchod, Jičín, Turnov, "
        "Louny, Žatec, Kadaň, Svitavy, Česká Třebová, Beroun, Mělník, Kolín, Rakovník",
    ),
    "Hungarian": (
        CENTRAL,
        "Győr, Pécs, Szeged, Nyíregyháza, Kecskemét, Székesfehérvár, Szombathely, Érd, Szolnok, "
        "Tatabánya, Sopron, Kaposvár, Veszprém, Békéscsaba, Zalaegerszeg, Eger, Nagykanizsa, "
        "Dunaújváros, Hódmezővásárhely, Dunakeszi, Cegléd, Mosonmagyaróvár, Baja, Gödöllő, "
        "Salgótarján, Ózd, Pápa, Gyöngyös, Kiskunfélegyháza, Ajka, Orosháza, Mezőtúr, Mezőkövesd, "
        "Keszthely, Sárvár, Kőszeg, Csongrád, Makó, Gyula, Füzesabony, Jászberény, Mór, Bük, Tác",
    ),
    "Romanian": (
        CENTRAL[:3],
        "Iaşi, Timişoara, Constanţa, Braşov, Galaţi, Ploieşti, Brăila, Oradea, Bacău, Piteşti, "
        "Sibiu, Târgu Mureş, Baia Mare, Buzău, Botoşani, Satu Mare, Râmnicu Vâlcea, Suceava, "
        "Piatra Neamţ, Drobeta, Târgovişte, Focşani, Bistriţa, Reşiţa, Tulcea, Călăraşi, Slobozia, "
        "Giurgiu, Bârlad, Hunedoara, Zalău, Roman, Turda, Mediaş, Deva, Alexandria, Oneşti, "
        "Câmpulung, Lugoj, Făgăraş, Sighişoara, Odorheiu Secuiesc, Săcele, Rădăuţi",
    ),
    "Croatian": (
        CENTRAL,
        "Varaždin, Šibenik, Karlovac, Sisak, Požega, Čakovec, Koprivnica, Đakovo, Vukovar, "
        "Križevci, Slavonski Brod, Vinkovci, Županja, Našice, Petrinja, Ogulin, Gospić, Senj, "
        "Crikvenica, Krk, Rab, Pag, Biograd, Benkovac, Drniš, Knin, Sinj, Trogir, Omiš, Makarska, "
        "Ploče, Metković, Korčula, Vrgorac, Pazin, Poreč, Rovinj, Vodnjan, Labin, Novigrad, "
        "Ludbreg, Đurđevac, Bjelovar, Čazma",
    ),
    "Turkish": (
        TURKISH,
        "Muğla, Uşak, Kütahya, Eskişehir, Çankırı, Kırşehir, Nevşehir, Niğde, Aydın, Denizli, "
        "Balıkesir, Çanakkale, Edirne, Kırklareli, Tekirdağ, Sakarya, Bolu, Düzce, Zonguldak, "
        "Bartın, Karabük, Kastamonu, Sinop, Çorum, Amasya, Tokat, Ordu, Giresun, Gümüşhane, "
        "Bayburt, Rize, Artvin, Ağrı, Iğdır, Muş, Bingöl, Tunceli, Elazığ, Diyarbakır, Şanlıurfa, "
        "Adıyaman, Gaziantep, Kahramanmaraş, Isparta",
    ),
    "Lithuanian": (
        BALTIC,
        "Šiauliai, Panevėžys, Klaipėda, Marijampolė, Mažeikiai, Jonava, Utena, Kėdainiai, "
        "Telšiai, Tauragė, Ukmergė, Visaginas, Plungė, Kretinga, Šilutė, Radviliškis, Palanga, "
        "Gargždai, Druskininkai, Rokiškis, Biržai, Elektrėnai, Kuršėnai, Garliava, Vilkaviškis, "
        "Raseiniai, Anykščiai, Lentvaris, Prienai, Joniškis, Kelmė, Varėna, Kaišiadorys, "
        "Naujoji Akmenė, Pasvalys, Kupiškis, Zarasai, Skuodas, Molėtai, Širvintos, Šakiai, Pakruojis",
    ),
    "Latvian": (
        BALTIC,
        "Liepāja, Jelgava, Jūrmala, Ventspils, Rēzekne, Valmiera, Jēkabpils, Ogre, Tukums, Cēsis, "
        "Salaspils, Kuldīga, Olaine, Saldus, Talsi, Dobele, Krāslava, Bauska, Sigulda, Ludza, "
        "Madona, Līvāni, Gulbene, Aizkraukle, Alūksne, Preiļi, Smiltene, Balvi, Grobiņa, "
        "Limbaži, Vangaži, Kārsava, Viļaka, Mālpils, Lielvārde, Ķegums, Ikšķile, Ādaži, Carnikava, "
        "Mārupe, Ķekava, Baloži, Iecava, Pļaviņas",
    ),
    "Estonian": (
        (*BALTIC, "cp1252"),
        "Kohtla-Järve, Sillamäe, Jõhvi, Jõgeva, Põlva, Räpina, Kärdla, Kuressaare, Haapsalu, "
        "Märjamaa, Türi, Võhma, Suure-Jaani, Põltsamaa, Mustvee, Kallaste, Tõrva, Mõisaküla, "
        "Kilingi-Nõmme, Häädemeeste, Lihula, Püssi, Kunda, Tamsalu, Väike-Maarja, Tapa, Kehra, "
        "Keila, Maardu, Paldiski, Loksa, Kõue, Käina, Kõpu, Vändra, Käru, Järvakandi, Kohila, "
        "Antsla, Karksi-Nuia, Elva, Nõo, Ülenurme, Räni",
    ),
    "Russian": (
        CYRILLIC,
        "Воронеж, Краснодар, Тольятти, Ижевск, Тюмень, Ярославль, "
        "Оренбург, Рязань, Пенза, Липецк, Чебоксары, Тула, Курск, Ставрополь, Брянск, "
        "Иваново, Белгород, Сургут, Владимир, Архангельск, Чита, Калуга, Смоленск, Череповец, "
        "Орёл, Вологда, Мурманск, Тамбов, Кострома, Петрозаводск, Псков, Элиста, Майкоп, Миасс, "
        "Рыбинск, Прокопьевск, Балаково, Армавир, Северодвинск, Щёлково",
    ),
    "Ukrainian": (
        ("cp1251", "koi8_u", "cp1125", "iso8859_5", "mac_cyrillic"),
        "Вінниця, Житомир, Чернівці, Чернігів, Черкаси, Рівне, Тернопіль, Луцьк, Хмельницький, "
        "Кропивницький, Миколаїв, Херсон, Полтава, Суми, Кременчук, Біла Церква, Бровари, Умань, "
        "Бердичів, Коростень, Ніжин, Конотоп, Шостка, Ромни, Лубни, Миргород, Ізюм, Лозова, "
        "Павлоград, Нікополь, Мелітополь, Бердянськ, Дрогобич, Стрий, Калуш, Коломия, Мукачево, "
        "Хуст, Ковель, Дубно, Кременець, Чортків, Ізмаїл, Їржавець",
    ),
    "Bulgarian": (
        ("cp1251", "koi8_r", "cp866", "iso8859_5", "mac_cyrillic"),
        "Пловдив, Варна, Русе, Стара Загора, Плевен, Сливен, Добрич, Шумен, Перник, Хасково, "
        "Ямбол, Пазарджик, Благоевград, Велико Търново, Враца, Габрово, Асеновград, Видин, "
        "Казанлък, Кърджали, Кюстендил, Монтана, Димитровград, Търговище, Ловеч, Силистра, "
        "Дупница, Свищов, Разград, Горна Оряховица, Смолян, Петрич, Сандански, Самоков, Ботевград, "
        "Севлиево, Лом, Карлово, Велинград, Нова Загора, Троян, Айтос, Гоце Делчев, Пещера",
    ),
    "Greek": (
        ("cp1253", "iso8859_7", "cp737"),
        "Πάτρα, Λάρισα, Βόλος, Ιωάννινα, Χανιά, Χαλκίδα, Αγρίνιο, Κατερίνη, Τρίκαλα, Σέρρες, "
        "Λαμία, Αλεξανδρούπολη, Καλαμάτα, Καβάλα, Ξάνθη, Κομοτηνή, Βέροια, Δράμα, Κοζάνη, "
        "Καρδίτσα, Ρέθυμνο, Πτολεμαΐδα, Κόρινθος, Γιαννιτσά, Μυτιλήνη, Θήβα, Άργος, "
        "Ναύπλιο, Λιβαδειά, Έδεσσα, Φλώρινα, Καστοριά, Γρεβενά, Πρέβεζα, Άρτα, Μεσολόγγι, Πύργος, "
        "Σπάρτη, Ηγουμενίτσα, Ιεράπετρα, Σητεία, Νάουσα, Κιλκίς",
    ),
    "Hebrew": (
        ("cp1255", "iso8859_8", "cp862"),
        "חולון, רמת גן, אשקלון, רחובות, בת ים, בית שמש, כפר סבא, הרצליה, חדרה, מודיעין, נצרת, לוד, "
        "רמלה, רעננה, גבעתיים, הוד השרון, קריית גת, נהריה, עפולה, אילת, טבריה, צפת, עכו, כרמיאל, "
        "דימונה, יבנה, אור יהודה, נס ציונה, ראש העין, אופקים, נתיבות, שדרות, ערד, מגדל העמק, "
        "טירת כרמל, יקנעם, מעלות, קריית שמונה, בית שאן, אריאל, סחנין, שפרעם, אום אל פחם, טייבה",
    ),
    "Arabic": (
        ("cp1256", "iso8859_6", "cp720"),
        "جدة, الطائف, تبوك, بريدة, حائل, نجران, جازان, ينبع, الخبر, أبها, عرعر, سكاكا, طنطا, "
        "المنصورة, الزقازيق, أسيوط, الفيوم, قنا, سوهاج, بنها, دمنهور, الموصل, البصرة, أربيل, "
        "كركوك, النجف, كربلاء, الناصرية, العمارة, بعقوبة, الرمادي, حلب, حمص, حماة, اللاذقية, "
        "طرطوس, درعا, إدلب, الرقة, وهران, قسنطينة, عنابة, سطيف, باتنة",
    ),
    "Persian": (
        ("cp1256",),
        "مشهد, اصفهان, کرج, شيراز, تبريز, اهواز, کرمانشاه, اروميه, رشت, زاهدان, همدان, کرمان, يزد, "
        "اردبيل, اسلام شهر, زنجان, سنندج, قزوين, خرم آباد, گرگان, ساري, بابل, آمل, بجنورد, بوشهر, "
        "بيرجند, نيشابور, سبزوار, کاشان, نجف آباد, مراغه, خوي, بوکان, مهاباد, سقز, ملاير, بروجرد, "
        "دزفول, آبادان, ماهشهر, بهبهان, گچساران, چابهار, زابل",
    ),
    "Thai": (
        ("cp874", "tis_620"),
        "นนทบุรี, เชียงราย, ลำพูน, ลำปาง, แพร่, น่าน, พะเยา, อุตรดิตถ์, สุโขทัย, พิษณุโลก, กำแพงเพชร, "
        "ตาก, พิจิตร, เพชรบูรณ์, นครสวรรค์, อุทัยธานี, ชัยนาท, สิงห์บุรี, ลพบุรี, สระบุรี, อ่างทอง, ขอนแก่น, "
        "อุดรธานี, หนองคาย, เลย, สกลนคร, นครพนม, มุกดาหาร, ยโสธร, อุบลราชธานี, ศรีสะเกษ, สุรินทร์, "
        "บุรีรัมย์, ชัยภูมิ, จันทบุรี, ตราด, ระยอง, ชลบุรี, ภูเก็ต, กระบี่, พังงา, ตรัง, พัทลุง, สงขลา",
    ),
    "Simplified Chinese": (
        ("gb18030", "gb2312"),
        "杭州市, 宁波市, 温州市, 嘉兴市, 绍兴市, 苏州市, 无锡市, 常州市, 徐州市, 扬州市, 济南市, 青岛市, "
        "烟台市, 潍坊市, 临沂市, 郑州市, 洛阳市, 开封市, 武汉市, 宜昌市, 襄阳市, 长沙市, 株洲市, 湘潭市, "
        "佛山市, 东莞市, 惠州市, 汕头市, 南宁市, 桂林市, 柳州市, 昆明市, 贵阳市, 遵义市, 绵阳市, 德阳市, "
        "西安市, 咸阳市, 兰州市, 银川市, 太原市, 大同市, 沈阳市, 鞍山市",
    ),
    "Traditional Chinese": (
        ("big5", "cp950"),
        "板橋區, 新莊區, 中和區, 永和區, 三重區, 蘆洲區, 土城區, 樹林區, 鶯歌區, 淡水區, 桃園市, 中壢區, "
        "平鎮區, 八德區, 楊梅區, 新竹市, 竹北市, 苗栗市, 頭份市, 豐原區, 大里區, 太平區, 彰化市, 員林市, "
        "南投市, 草屯鎮, 斗六市, 虎尾鎮, 嘉義市, 朴子市, 永康區, 新營區, 鳳山區, 岡山區, 屏東市, 潮州鎮, "
        "宜蘭市, 羅東鎮, 花蓮市, 臺東市, 馬公市, 金城鎮, 沙田, 觀塘",
    ),
    "Japanese": (
        ("cp932", "euc_jp"),
        "横浜市, 川崎市, 相模原市, さいたま市, 川口市, 千葉市, 船橋市, 名古屋市, 豊橋市, 岡崎市, 神戸市, "
        "姫路市, 西宮市, 堺市, 京都市, 福岡市, 北九州市, 久留米市, 仙台市, 石巻市, 広島市, 福山市, 岡山市, "
        "倉敷市, 熊本市, 鹿児島市, 浜松市, 静岡市, 新潟市, 長岡市, 宇都宮市, 前橋市, 高崎市, 水戸市, "
        "つくば市, 金沢市, 富山市, 長野市, 松本市, 岐阜市, 大津市, 奈良市, むつ市, えびの市",
    ),
    "Korean": (
        ("cp949", "euc_kr"),
        "수원시, 성남시, 고양시, 용인시, 부천시, 안산시, 안양시, 남양주시, 화성시, 평택시, 의정부시, 파주시, "
        "김포시, 춘천시, 원주시, 강릉시, 청주시, 충주시, 제천시, 천안시, 아산시, 공주시, 전주시, 군산시, "
        "익산시, 목포시, 여수시, 순천시, 포항시, 경주시, 구미시, 안동시, 창원시, 진주시, 김해시, 양산시, "
        "제주시, 서귀포시, 속초시, 삼척시, 태백시, 나주시, 광양시, 밀양시",
    ),
}


def names(language: str) -> list[str]:
    """Return a language's names of places."""
    return PLACES[language][1].split(", ")
