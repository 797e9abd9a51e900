(* What serves the assets, whichever store they are in. *)
module Make (Asset : Mirage_kv.RO) = struct
  open Lwt.Syntax

  type answer = Not_found | Found of { last_modified : Ptime.t option; body : string }

  let loader store path =
    let key = Mirage_kv.Key.v path in
    let* body = Asset.get store key in
    match body with
    | Error _ -> Lwt.return Not_found
    | Ok body ->
        let+ last_modified = Asset.last_modified store key in
        Found { last_modified = Result.to_option last_modified; body }
end
