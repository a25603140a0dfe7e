"""Derives loader/formats/csv/languages.json: how often letters follow one another in a language.

    pip install babel django
    python -m benchmarks.languages loader/formats/csv/languages.json

The texts are names and words, as tables have them: those of CLDR (territories, languages, scripts,
currencies, time zones, units, months, days; Unicode License, by way of babel), the messages of
Django (BSD), and for the rarer letters of each language some of its common words, which stand here.
"""
# ruff: noqa: RUF001  (letters of other scripts are what this is about)

from __future__ import annotations

import gettext
import json
import math
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import django
from babel import Locale

PAGES = {
    **dict.fromkeys(
        (
            "de",
            "fr",
            "es",
            "pt",
            "it",
            "ca",
            "gl",
            "eu",
            "ga",
            "nl",
            "sv",
            "fi",
            "da",
            "nb",
            "is",
            "sq",
            "fo",
            "en",
        ),
        "cp1252",
    ),
    **dict.fromkeys(("pl", "cs", "sk", "hu", "ro", "hr", "sl"), "cp1250"),
    **dict.fromkeys(("tr", "az"), "cp1254"),
    **dict.fromkeys(("lt", "lv", "et"), "cp1257"),
    "vi": "cp1258",
    **dict.fromkeys(("ru", "uk", "be", "bg", "sr", "mk"), "cp1251"),
    "el": "cp1253",
    "he": "cp1255",
    **dict.fromkeys(("ar", "fa", "ur"), "cp1256"),
    "th": "cp874",
}
NO_LATIN = {"ru", "uk", "be", "bg", "sr", "mk", "el", "he", "ar", "fa", "ur", "th"}
SCRIPTS = {"zh": "gb2312", "zh_Hant": "big5", "ja": "euc_jp", "ko": "euc_kr"}
DJANGO = {"zh": "zh_Hans"}

# Letters that a language has, be they in no word below.
LETTERS = {
    "de": "äöüß",
    "fr": "àâæçéèêëîïôœùûüÿ",
    "es": "áéíñóúü",
    "pt": "áâãàçéêíóôõúü",
    "it": "àèéìíîòóùú",
    "ca": "àçèéíïòóúü",
    "eu": "ñçü",
    "nl": "áàâäèéêëïíóöôúûüç",
    "sv": "åäöéü",
    "fi": "åäöéüšž",
    "da": "æøåéèêóòôâöäü",
    "nb": "æøåéèêóòôâäöü",
    "is": "áðéíóúýþæö",
    "fo": "áðíóúýæø",
    "sq": "çë",
    "pl": "ąćęłńóśźż",
    "cs": "áčďéěíňóřšťúůýž",
    "sk": "áäčďéíĺľňóôŕšťúýž",
    "hu": "áéíóöőúüű",
    "ro": "ăâîşţșț",
    "hr": "čćđšž",
    "sl": "čšžćđ",
    "tr": "çğıöşüâîû",
    "lt": "ąčęėįšųūž",
    "lv": "āčēģīķļņšūž",
    "et": "äõöüšž",
    "ru": "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
    "uk": "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя",
    "be": "абвгдеёжзійклмнопрстуўфхцчшыьэюя",
    "bg": "абвгдежзийклмнопрстуфхцчшщъьюя",
    "sr": "абвгдђежзијклљмнњопрстћуфхцчџш",
    "mk": "абвгдѓежзѕијклљмнњопрстќуфхцчџш",
    "ar": "ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهوىيًٌٍَُِّْ",
    "fa": "آئابپتثجچحخدذرزژسشصضطظعغفقکگلمنوهيیكأؤء",
    "th": "".join(map(chr, [*range(0xE01, 0xE3B), *range(0xE40, 0xE4F)])),
}
WORDS = {
    "de": (
        "straße größe weiß fuß grün süd über höhe schön brücke mühle äcker kloß schloss groß "
        "bär tür früh öl übung"
    ),
    "fr": (
        "où août île forêt hôtel château maïs noël œuvre cœur sœur là voilà sûr fenêtre "
        "bibliothèque règle père mère été école musée fête côte pâturage âge âne chêne "
        "rivière évêque boîte goût abîme naïf français garçon façade leçon reçu théâtre "
        "hôpital crème frère lumière pièce siècle aqueduc bœuf nœud vœu dû mûr brûlé coût "
        "aiguë haïr très après près"
    ),
    "es": (
        "niño año español montaña río cañada leña viña jardín camión población estación "
        "pingüino vergüenza corazón árbol ángel éxito último música público fábrica península "
        "también según aquí más está página teléfono código número"
    ),
    "pt": (
        "são não mão pão estação população região município ações informações água área órgão "
        "avô avó você três pêssego câmara âmbito índice último açúcar cabeça praça serviço "
        "março irmão limões põe também está português freguesia colónia júnior lâmpada"
    ),
    "it": (
        "città università più perché così però può è lunedì martedì qualità comunità già là "
        "giù sì virtù caffè tè né cioè ciò libertà età metà papà sanità tribù gioventù farò "
        "sarò avrò andrò lassù costì bontà verità povertà laggiù"
    ),
    "ca": (
        "vall muntanya què això serà més és només també català plaça força façana camí jardí "
        "núvol única òpera història raó països veïns llengües pingüí platja l·l col·legi però "
        "colòmbia estació població"
    ),
    "nl": (
        "één ruïne reünie zeeën ideeën coördinatie financiële enquête crème café oriëntatie "
        "patiënt knieën geëerd"
    ),
    "sv": (
        "sjö ö å ån västra östra södra nära kök gård vår där när även är på små stå hög hår "
        "skär ö-skola fjäll dörr böcker ängen åker älv öster kyrkan näs björk hällar vågen "
        "gök älgar så två många år månad kör"
    ),
    "fi": (
        "järvi mäki kylä pää hyvä yö työ tämä sinä päivä äiti öljy lähde kärki niemenpää vähä "
        "köyhä säästö väylä syvä höyry tyttö näkymä selkä pöytä"
    ),
    "da": (
        "sø å ø bæk øst vår skærgård høj gård strøm nær vej kør småø år månede påske købe "
        "læse ærø høst bjærg mølle skæg sæson færge grøn rød blå små skov tårn bøg kær løv "
        "håb æble øvre ådal på så når også åben"
    ),
    "nb": (
        "sjø å ø bekk øst vår skjærgård høy gård strøm nær kjør småøy år måned påske kjøpe "
        "lære ær øre åre høst bær mølle skjegg sæter færre grønn rød blå små tårn bøk kjær "
        "løv næring håp øvre på så når også åpen fjære"
    ),
    "is": (
        "fjörður höfn vík bær eyri þorp staður dalur áin út þú það við suður norður hús ár já "
        "öl ís ósar múli hlíð breið lækur tjörn völlur skóli kirkja þing götur hæð æð óðal "
        "áður úti önnur íslensk"
    ),
    "sq": ("është më në qytet shqipëri çelës çdo kohë vend dhe për një bëj"),
    "pl": (
        "źródło góra dąb łąka święto żółty jeździć ćwiczenie miłość część późno próg gęś wąż "
        "dziś łódka żaba śnieg słoń książka kość niż źle rów ulica świątynia główny wieś "
        "wyższy dwór dół róg pięć sześć dziewięć kąt łuk słońce grób mąka zięć żółć nóż "
        "ściana ćma powiat województwo gmina osiedle większa mniejsza"
    ),
    "cs": (
        "město řeka hůra kůň dům můj ústí čáp žába ještě větší těžký příště náměstí údolí "
        "šťastný ďábel tři čtyři pět říjen září únor květen červen středa čtvrtek pátek "
        "neděle díky důvod břeh křídlo hřbitov výška dolní horní nové staré vršek most ňadra "
        "ťuk loď síť řeč růže lípa věž týn újezd"
    ),
    "sk": (
        "mesto rieka hôrka kôň dom môj ústie žaba ešte väčší ťažký námestie údolie šťastný "
        "ďatelina ľudia ľavý mäso päť stôl nôž vŕba vĺča stĺp kôra ľad žltý výška dolná horná "
        "nová stará ďaleko loď sieť deň reč štvrtok nedeľa február máj jún júl december"
    ),
    "hu": (
        "tűz fű betű erdő mező idő első felső alsó hegy völgy út utca föld vár új nő őz ősz "
        "kőris szőlő tető ház falú tó szép város megye község kerület külső belső híd kút "
        "széles könyv ügy üveg űr hűvös gyűrű sűrű őr erő vő méh dűlő őrség kő bő gyümölcs "
        "árpád tőr szűz mű fő füzes"
    ),
    "ro": (
        "oraş şcoală judeţ piaţă staţie şi ţară aţă băiat câine întâi însă până românia munţi "
        "satu şes peşte târg vârf râu lângă mănăstire comună deşt moş căi ţigla fântână "
        "grădină ştiri oraşul înalt dâmb câmp câmpul câmpia căpăţână gură măr nălbă pădure "
        "şoim păr ţepeş moţ noua vechi iniţial împărat"
    ),
    "hr": (
        "grad šuma rijeka čovjek žena đak ćup kuća noć već što međa između žuti crkva općina "
        "županija gornji čista stariš večer dođi vođa mlađi križ jež vrč žaba ćelav peć moć "
        "ključ đurđa ploča šljiva žito čaša češnjak brežuljak dvorište"
    ),
    "sl": (
        "mesto šola reka človek žena več kaj že čez občina hiša dež sveča križ hrušča ključ "
        "češnja vrh čas čist žito ščuka meščan žaga"
    ),
    "tr": (
        "şehir ilçe köy dağ çay göl ağaç ışık sığır yeşil güneş öğretmen çocuk üç dört beş "
        "altı yıl ağustos şubat kış kapı kızıl kırmızı yüksek aşağı yukarı büyük küçük orta "
        "çınar köprü ırmak değirmen oğul iğne güney doğu batı kuzey bahçe mahalle cadde "
        "sokağı çeşme başı gölü suyu"
    ),
    "lt": (
        "miestas ežeras upė gatvė žemė šalis ąžuolas ėjo įlanka ūkis didžioji mažoji kaimas "
        "rūta šilas žiema čia būti savivaldybė rajonas apskritis kiškis vėjas pušis eglė "
        "sąjunga ženklas gėlė ūsai įmonė jūra pietūs šiaurė rytų vakarų ryšių tėvų "
        "geležinkelis didelė saulė kryžius ilgės viržių kalnų piliakalnis"
    ),
    "lv": (
        "pilsēta ezers upe iela zeme valsts ķēniņš ļoti ģimene ņemt ūdens ēka īss jūra žogs "
        "šķūnis čūska mežs kalns baznīca novads pagasts priežu bērzs rīts dzīve pļava līcis "
        "sēne vējš ziemeļi dienvidi āboli māja kļava augšā zaļā lielā mazā ceļš vārds tīrs "
        "bļoda ķirši leņģe vecā jaunā ciems muiža rūja sāls dzērve krūms"
    ),
    "et": (
        "linn jõgi järv mägi küla tänav öö õun õpetaja põld mõis põhja lõuna väike suur jõe "
        "mõõt hõbe kõrge köök ülikool äär vägi üle rõõm sõna võsa kõrv tõrv õhtu üks viis "
        "kümme jaanuar õlu jõulud põdra"
    ),
    "vi": (
        "thành phố hồ huyện xã phường sông núi biển đông tây nam bắc đường chợ làng tỉnh thị "
        "trấn quận cầu đất nước người việt một hai ba bốn năm sáu bảy tám chín mười đỏ xanh "
        "vàng trắng đen long thạnh hòa hưng hải thủy điện lạc giang ninh"
    ),
}
TIMES = 3  # each of these words counts as so many
LEAST = 3  # a letter that is met less often is a foreign one
FLOOR = 2**-12  # how often the language's own letters come at least
TONES = "\u0300\u0301\u0303\u0309\u0323"
KINDS = ("territories", "languages", "scripts", "variants", "currency_names")
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def main(path: Path) -> None:
    """Write the tables, a line for each language."""
    languages = {name: language(name) for name in PAGES}
    tables = {
        "languages": languages,
        "mixed": {"all": mixed()},
        "scripts": {name: script(name) for name in SCRIPTS},
    }
    lines = []
    for kind, rows in tables.items():
        body = ",\n".join(
            f"{json.dumps(name)}: {json.dumps(row, ensure_ascii=False)}"
            for name, row in rows.items()
        )
        lines.append(f'"{kind}": {{\n{body}\n}}')
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def strings(name: str) -> list[str]:
    """Return a language's names and words, each once."""
    return list(dict.fromkeys([*cldr(name), *messages(name)]))


def cldr(name: str) -> Iterator[str]:
    data = Locale.parse(name)._data  # noqa: SLF001  (babel shows most of it one by one only)
    for kind in KINDS:
        yield from (text for text in data[kind].values() if isinstance(text, str))
    for kind in ("time_zones", "meta_zones"):
        yield from (text for text in leaves(data[kind]) if len(text) > 4)
    for kind in ("months", "days"):
        yield from (text for text in leaves(data[kind]) if len(text) > 2)
    for plurals in data["currency_names_plural"].values():
        yield from list(plurals.values())[:1]
    yield from leaves(data["unit_display_names"])


def leaves(tree: object) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, Mapping):
        for below in tree.values():
            yield from leaves(below)


def messages(name: str) -> Iterator[str]:
    """Yield Django's messages in a language, without those that have something put in."""
    folder = f"locale/{DJANGO.get(name, name)}/LC_MESSAGES/django.mo"
    for path in sorted(Path(django.__file__).parent.rglob(folder)):
        with path.open("rb") as file:
            catalog = gettext.GNUTranslations(file)._catalog  # noqa: SLF001
        for key, text in catalog.items():
            if key and isinstance(text, str) and not set("%<{") & set(text):
                yield text


def text_of(name: str) -> str:
    texts = [text.lower() for text in strings(name)] + WORDS.get(name, "").split() * TIMES
    if name == "vi":
        texts = [with_tones(text, all_of_them=way) for way in (True, False) for text in texts]
    text = f" {'  '.join(texts)} "
    if name == "ro":  # as code pages before Unicode have them
        text += text.replace("ș", "ş").replace("ț", "ţ")
    if name in {"fa", "ur"}:
        text += text.replace("ی", "ي")
    return text.replace("ə", "ä") if name == "az" else text


def with_tones(text: str, *, all_of_them: bool) -> str:
    """Return a Vietnamese text with its tones behind their letters, as in cp1258."""
    found = ""
    for letter in unicodedata.normalize("NFC", text):
        if not all_of_them and fits(letter, "cp1258"):
            found += letter
            continue
        parts = unicodedata.normalize("NFD", letter)
        tones = "".join(part for part in parts if part in TONES)
        rest = "".join(part for part in parts if part not in TONES)
        found += unicodedata.normalize("NFC", rest) + tones
    return found


def fits(letter: str, page: str) -> bool:
    try:
        letter.encode(page)
    except UnicodeEncodeError:
        return False
    return True


def is_letter(character: str) -> bool:
    return (character.isalpha() or unicodedata.category(character) in {"Mn", "Mc"}) and (
        character not in "ªºµ"
    )


def language(name: str) -> dict[str, str]:
    """Return the letters, and for each after each what it costs, in half bits."""
    text = "".join(one if is_letter(one) else " " for one in text_of(name))
    pairs = Counter(pair for pair in pairwise(text) if pair != (" ", " "))
    single: dict[str, float] = Counter()
    before: dict[str, int] = Counter()
    for (first, second), count in pairs.items():
        single[second] += count
        before[first] += count
    kinds = Counter(first for first, _ in pairs)
    page = PAGES[name]
    own = {
        one
        for one, count in single.items()
        if not one.isascii() and count >= LEAST and (fits(one, page) or one in "șț")
    }
    least = sum(single.values()) * FLOOR
    for one in LETTERS.get(name, ""):
        single[one] = max(single.get(one, 0), least)
        own.add(one)
    total = sum(single.values())
    ascii_letters = (
        "" if name in NO_LATIN else "".join(sorted(o for o in single if o.isascii() and o != " "))
    )
    letters = f" {ascii_letters}{''.join(sorted(own))}"

    def bits(first: str, second: str) -> float:
        alone = (single.get(second, 0) + 0.3) / (total + 0.3 * len(letters))
        seen = before.get(first, 0)
        # As Witten and Bell smooth, with twice the weight of what was not seen: names are unlike
        # the words of an interface.
        trust = seen / (seen + 2 * kinds[first] + 1)
        together = trust * pairs[first, second] / seen if seen else 0
        return -math.log2(together + (1 - trust) * alone)

    return {
        "ascii": ascii_letters,
        "letters": letters[1 + len(ascii_letters) :],
        "bits": "".join(digit(bits(a, b)) for a in letters for b in letters),
    }


def digit(bits: float) -> str:
    return DIGITS[min(len(DIGITS) - 1, max(0, round(2 * bits)))]


def mixed() -> dict[str, str]:
    """Return what a letter costs on the average of all languages of Western Europe."""
    western = [name for name, page in PAGES.items() if page == "cp1252" and name != "en"]
    share: dict[str, float] = Counter()
    for name in western:
        counted = Counter(one for one in text_of(name) if is_letter(one))
        for one, count in counted.items():
            if fits(one, "cp1252") and not one.isascii():
                share[one] += count / counted.total() / len(western)
    ranked = sorted(share, key=lambda one: -share[one])
    return {
        "letters": "".join(ranked),
        "bits": "".join(digit(-math.log2(share[one])) for one in ranked),
    }


def script(name: str) -> dict[str, str]:
    """Return the characters of an Eastern script, and what each costs, in half bits."""
    counted = Counter(
        one
        for text in strings(name)
        for one in text
        if not one.isascii() and is_letter(one) and fits(one, SCRIPTS[name])
    )
    ranked = [one for one, _ in counted.most_common()]
    total = counted.total()
    # Half of the weight is that of a character of the first level, whatever was seen.
    return {
        "letters": "".join(ranked),
        "bits": "".join(
            digit(
                -math.log2(
                    counted[one] / total / 2
                    + (2.0**-8 if "\u3041" <= one <= "\u30ff" else 2.0**-11.8) / 2
                )
            )
            for one in ranked
        ),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
