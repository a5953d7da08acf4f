"""Changes that scripts/schemathesis.sh makes to the requests of schemathesis."""

import zlib

import schemathesis

# Numbers of the simulator: delivered, failed over to SMS, silent, receipts shuffled, receipts early.
NUMBERS = ["+628123450001", "+5511961230002", "+628123450003", "+2348031230006", "+525512340007"]


@schemathesis.hook
def before_call(context, case, kwargs):
    # A response that is held for a second shows as much as one that is held for a minute.
    query = case.query
    if isinstance(query, dict) and "wait_for" in query:
        wait = str(query.get("timeout_s", 20))
        if wait.isdigit() and 1 < int(wait) <= 60:
            query["timeout_s"] = 1
    # A text made from a schema is hardly ever a phone number. Every second one is replaced by a real number, so that the
    # requests reach more than the first check.
    body = case.body
    if isinstance(body, dict) and isinstance(body.get("to"), str):
        draw = zlib.crc32(repr(sorted(body.items(), key=str)).encode())
        if draw % 2:
            body["to"] = NUMBERS[draw // 2 % len(NUMBERS)]
    # The account of the examples, as the demo has it: then the callback's proof is looked at.
    if case.path_parameters.get("account") == "whatsapp-main":
        case.path_parameters["account"] = "meta-main"
