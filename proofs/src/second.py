# Puts SMT-LIB 2 files to Bitwuzla: names on standard input, one answer per line on standard output.
# Arguments: milliseconds per query; where else to look for the package.
import sys

sys.path.append(sys.argv[2])
try:
    import bitwuzla
except ImportError:
    sys.exit(3)

for name in sys.stdin.read().splitlines():
    try:
        options = bitwuzla.Options()
        options.set(bitwuzla.Option.TIME_LIMIT_PER, int(sys.argv[1]))
        parser = bitwuzla.Parser(bitwuzla.TermManager(), options)
        parser.parse(name, parse_only=True)
        answer = str(parser.bitwuzla().check_sat())
    except Exception:
        answer = "unknown"
    print(answer, flush=True)
