"""The words by which replies name their answer, take it back or doubt it, in several languages. Patterns only.

Every pattern repeats a bounded number of times. Numbers and choices share most of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

FEW_WORDS = r"(?:[ ,]{1,2}[\w'()+×*/%^-]{1,20}){0,8}?"
LINK = (
    r"[\"'*)]{0,2}\s{0,2}(?:(?:is|was|are|be|remains|equals|lautet|ist|wäre|est|serait|es|sería|é|è|seria|sarebbe|jest|är|"
    r"er|это)(?![\w'])|[:=≈]|[-–—]{1,2}[ >]|→)\s{0,2}:?"
)
_NOUN = (
    r"(?:answer|ans|choice|option|response|solution|letter|pick|selection|guess|verdict|conclusion|continuation|ending|"
    r"completion|antwort|antwortoption|lösung|wahl|réponse|reponse|choix|respuesta|opción|opcion|resposta|alternativa|"
    r"opção|risposta|opzione|antwoord|svar|odpowiedź|odpowiedz|cevap|ответ|вариант)"
)
_FITTING = (
    r"(?:correct|right|best|true|accurate|appropriate|suitable|plausible|logical|likely|sensible|fitting|matching|"
    r"richtige?|korrekte?|zutreffend|bonne|juste|correcta?|corretta|esatta)"
)
_UNFITTING = r"(?:incorrect|false|wrong|untrue|falsche?|fausse)"


@dataclass(frozen=True)
class Cue:
    """Words that an answer follows. `of_wrong`: whether they speak of what is wrong (None: of neither), which counts
    only where the question asks for that."""

    words: re.Pattern[str]
    is_final: bool = False
    of_wrong: bool | None = None


CUES = (
    Cue(re.compile(rf"\b{_NOUN}\b{FEW_WORDS}{LINK}", re.IGNORECASE)),
    Cue(re.compile(rf"\b{_FITTING}(?:\s\w{{1,15}}){{0,4}}?{LINK}", re.IGNORECASE), of_wrong=False),
    Cue(re.compile(rf"\b{_UNFITTING}(?:\s\w{{1,15}}){{0,4}}?{LINK}", re.IGNORECASE), of_wrong=True),
    Cue(
        re.compile(
            r"[\"'](?:final_?answer|correct_?answer|answer|choice|option|letter|prediction|selected\w{0,10}|selection|"
            r"label|result|antwort|réponse|respuesta)[\"']\s{0,3}:",
            re.IGNORECASE,
        ),
        is_final=True,
    ),
    Cue(
        re.compile(
            r"\b(?:choose|chose|select|selecting|choosing|pick|picking|go(?:ing)? with|go(?:ing)? for|opt(?:ing)? for|"
            r"settle on|guess|say|vote for|wähle|nehme|tippe auf|choisis|choisirais|opte pour|elijo|elegiría|escojo|"
            r"escolho|scelgo|выбираю|narrows? (?:it |this |things )?down to|point(?:s|ing)? to|leads? (?:us |me )?to|"
            r"corresponds? to|lean(?:ing)? (?:towards?|to)|matches)(?![\w']):?",
            re.IGNORECASE,
        )
    ),
    Cue(re.compile(r"(?:答案|正解|答え|回答|정답|답)[^\W不非]{0,4}?(?:[是为為選选はは는은:]|应选){1,2}\s?:?")),
    Cue(re.compile(r"(?<![不可])(?:选择|選擇|选|選)(?![项項择擇])\s?:?")),
    Cue(re.compile(r"正确(?:的)?(?:选项|说法)?(?:应该)?[是为:]")),
)
SHORT_FOR_ANSWER = re.compile(r"^[ ]{0,3}(?:A|R|Ans)\s?:\s{1,3}(?=\(?[A-Z](?!\w))", re.MULTILINE)
WEAK_CUES = re.compile(
    r"\b(?:so|thus|therefore|hence|ergo|consequently|donc|also|somit|folglich|daher|por (?:lo )?tanto|portanto|quindi|"
    r"(?:no|nope|nein|non)\s?,|leaves(?: us with| only)?|"
    r"leaving(?: us with| only)?|left with|only|(?<!here )is|be|it's|that's|c'est|ist|est|es)(?![\w'])|"
    r"因此|所以|→|=>|⇒|(?P<equals>(?<![=<>!:])=(?![=>]))|(?<!不)[是为]",
    re.IGNORECASE,
)
COULD = re.compile(r"\b(?:could|might|may)\s(?:also\s|well\s|possibly\s)?be(?![\w'])", re.IGNORECASE)
DENIES = re.compile(
    r"\b(?:not|isn't|can't be|cannot be|couldn't be|wasn't|nicht|n'est pas|no es|não é|non è|rul(?:e|ed|es|ing) out|"
    r"eliminat\w{1,4}|exclud\w{1,4}|discard\w{0,3})(?![\w'])|不是",
    re.IGNORECASE,
)

VERDICT = re.compile(
    r"(?<![\w'])(?:is|are|must be|should be|would be|has to be|seems|appears|looks|remains|fits|"
    r"ist|sind|est|es|são|é|è)"
    r"(?P<mid>(?:\s{1,2}[\w'-]{1,14}){0,4}?)\s{1,2}"
    r"(?P<word>correct|right|best|answer|true|richtige?|korrekte?|zutreffend|bonne|juste|correcte?|correcta|correto|"
    r"corrett[oa]|esatta|false|wrong|incorrect|accurate|appropriate|plausible|logical|suitable|likely|fitting|probable)"
    r"(?![\w-])",
    re.IGNORECASE,
)
VERDICT_ENDS = re.compile(
    r"\s{0,2}(?:$|[.,;:!)\n\"'—–-]|(?:answer|option|choice|response|solution|letter|one|because|since|as|for|here|"
    r"in this|"
    r"and|while|statement|continuation|ending|completion|antwort|réponse|respuesta|opción|resposta|risposta)(?!\w)"
    r"(?!\s{0,2}\?))",
    re.IGNORECASE,
)
VERDICT_CJK = re.compile(
    r"(?<![、和与或及,/A-Za-z])([A-Z])(?:选项|選項|项|項)?(?:是)?(?:正确|對的|对的|正解|が正しい|が正解)(?!吗)"
)
UNSURE = re.compile(
    r"\b(?:not|never|partially|partly|almost|nearly|half|if|whether|nicht|pas|no|não|non|neither|hardly|less)\b|n't",
    re.IGNORECASE,
)
ONLY_WITH_MOST = ("accurate", "appropriate", "plausible", "logical", "suitable", "likely", "fitting", "probable")
SHARED = re.compile(r"\b(?:also|equally|both|all|auch|aussi|también)\b", re.IGNORECASE)
CLAUSE_EDGE = re.compile(
    r"[,;:—–]|\b(?:because|since|while|whereas|but|although|so|therefore|thus|hence|that|which|weil|da|aber|car|mais|porque|"
    r"pero)\b",
    re.IGNORECASE,
)
SUBJECT = re.compile(
    r"\b(?:option|choice|answer|statement|letter|antwort|aussage|réponse|l'option|respuesta|opción)\s[(\"'\[]?([A-Z])(?![\w'])"
    r"|(?:^|\b(?:both|only|and|or|la)\s|[(/&]\s?)[\s(\"'\[]{0,3}([A-Z])"
    r"(?=[\s)\"'\].]{0,4}(?:$|[,(/&-]|(?:and|or|und|et|y|is)\b))",
    re.IGNORECASE,
)
MARKED = re.compile(
    r"^[^\w\n]{0,8}(?:option |choice )?\(?([A-Z])(?:[).:\]]|\s[-–—])(?:"
    r"[^\n]{0,300}?(?:✅|✓|✔|☑|\[x\]|[(←–—:-]{1,2}\s{0,2}(?:this is |that is |yes,? )?(?:the )?(?:correct|right)(?!\w))"
    r"|\s{0,2}(?:yes,? |this is |that is |this statement is )?(?:the )?(?:correct|right|true)"
    r"(?=\s{0,2}(?:$|[.,;:!)\n–—-]|because|since|as\b|answer|choice|option)))",
    re.MULTILINE | re.IGNORECASE,
)
TICKED = re.compile(
    r"^[^\w\n]{0,6}(?:✅|✓|✔|☑|\[x\])[^\w\n]{0,6}(?:option |choice )?\(?([A-Z])(?:[).:\]]|\s[-–—]|\s|$)",
    re.MULTILINE | re.IGNORECASE,
)

IMAGINED = re.compile(
    r"\b(?:could|might|may|tempt\w{1,5}|at first|initially|originally|(?<!second )thought|some people|many people|"
    r"people often|would have|common (?:mistake|error|misconception)|trap|whether|seems? like|why (?:not|isn't)|"
    r"könnte|vielleicht|pourrait|podría)\b",
    re.IGNORECASE,
)
IF_JUST_BEFORE = re.compile(r"\b(?:if|whether)\s(?:\w{1,10}\s){0,2}$", re.IGNORECASE)
CONDITION = re.compile(r"\b(?:if|unless|assuming|assume|supposing|suppose|wenn|falls|si|se)\b", re.IGNORECASE)
DEPENDS = re.compile(r"\b(?:otherwise|depends?|depending|unless|sinon|sonst|de lo contrario)\b", re.IGNORECASE)
TURN = re.compile(r"\b(?:but|however|yet|so|therefore|thus|hence|still|aber|mais|pero)\b|[;—]", re.IGNORECASE)
NOT_THIS = re.compile(
    r"(?P<word>\b(?:wrong|incorrect|false|least|worst|not|never|cannot|can't|unlikely|other|else|obvious|tempting|common|"
    r"earlier|previous|alternative|second|nicht|pas|kein|keine|falsche|mauvaise)|n't)\s"
    r"(?:(?:the|a|an|my|correct|right|best|only|most|likely|sure|certain|necessarily|possible|valid|to|be|really)\s){0,3}$"
    r"|\b(?P<no>no|não|non)\s$",
    re.IGNORECASE,
)
WRONG_WORDS = (
    "wrong",
    "incorrect",
    "false",
    "untrue",
    "least",
    "worst",
    "unlikely",
    "not",
    "falsche",
    "fausse",
    "mauvaise",
)
FINALLY = re.compile(r"\b(?:final|finally|endgültige|finale|definitiva|in the end)\b|最终", re.IGNORECASE)
UNKNOWING = re.compile(
    r"\b(?:don't know|do not know|not sure|unsure|uncertain|cannot|can't|can not|unable|couldn't|"
    r"impossible to|not enough|"
    r"insufficient|no idea|sorry|refuse|decline|as an ai|weiß (?:es )?nicht|sais pas|no sé|não sei|не знаю|might|maybe|"
    r"perhaps|possibly|could be|either|neither|nor|guess|let me|hmm|think about)\b|不知道|无法|可能",
    re.IGNORECASE,
)
NEGATION = re.compile(
    r"\b(?:not|no|never|nicht|kein|keine|pas|nunca|avoid|except|unlike|wrong|incorrect|false|unlikely|"
    r"rather than|instead of|"
    r"besides|apart from|contraindicated|eliminat\w{1,4}|exclud\w{1,4}|rul(?:e|es|ed|ing) out)\b|n't|不",
    re.IGNORECASE,
)
CONCLUDES = re.compile(
    r"\b(?:so|thus|therefore|hence|in conclusion|overall|also|donc|por lo tanto|folglich)\b", re.IGNORECASE
)
