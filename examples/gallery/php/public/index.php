<?php
header('Content-Type: text/plain');
echo 'hello from ', PHP_SAPI, ', asked for ', $_SERVER['REQUEST_URI'], "\n";
