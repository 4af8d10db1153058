import argparse, os
def main():
    p=argparse.ArgumentParser(prog="gantry"); s=p.add_subparsers(dest="command",required=True)
    v=s.add_parser("serve")
    for f in ("host","port","data","buckets","workers","config"): v.add_argument("--"+f)
    a=vars(p.parse_args())
    from gantry.config import load_settings
    from gantry.server import serve
    serve(load_settings(a, os.environ, a.pop("config") or os.environ.get("GANTRY_CONFIG","")))
