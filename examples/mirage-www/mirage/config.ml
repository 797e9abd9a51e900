open Mirage

let asset = tar_kv_ro (block_of_file "asset")
let packages = [ package "www" ]
let main = main "Unikernel.Make" ~packages (stackv4v6 @-> kv_ro @-> job)
let () = register "www" [ main $ generic_stackv4v6 default_network $ asset ]
