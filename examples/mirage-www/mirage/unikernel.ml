module Make (Stack : Tcpip.Stack.V4V6) (Asset : Mirage_kv.RO) = struct
  module Www = Www.Make (Asset)

  let start _stack asset =
    let open Lwt.Syntax in
    let+ answer = Www.loader asset "main.css" in
    match answer with
    | Www.Not_found -> prerr_endline "there is no main.css"
    | Www.Found { body; _ } -> Printf.printf "main.css has %d bytes\n" (String.length body)
end
