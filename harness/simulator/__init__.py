"""Simulated LLM providers on a real socket, which write down what they truly did.

`serve` runs the server; `config` says what it can be told; `truth` reads what it wrote. One request flows
`connection -> service (routes, speakers, limits, draws, faults) -> play -> truth`.
"""
